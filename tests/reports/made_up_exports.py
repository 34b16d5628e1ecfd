"""Exports of scores whose truth is known, as the atlas reads them."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import activations

NAMES = ("tanh", "sigmoid", "hardtanh", "softsign", "arctan", "erf", "relu", "leaky_relu", "elu",
         "selu", "silu", "gelu", "mish", "softplus", "sine", "gcu", "prelu", "arelu",
         "exponential")  # fmt: skip
FOLDS, SEEDS = ("a", "b", "c", "d"), (0, 1)

Variant = dict[str, str]


def variant(activation: str, place: str = "candidate") -> Variant:
    """A variant with an activation in a place, tanh and the sigmoid in the others."""
    row = {"activation": "tanh", "update": "sigmoid", "reset": "sigmoid", "direction": "gru"}
    row |= {"direction": "bigru"} if place == "bigru" else {}
    where = "activation" if place in ("candidate", "bigru") else place
    return row | {where: activation, "label": f"{activation} · {place}"}


def write_export(
    folder: Path,
    study: str,
    variants: Sequence[Variant],
    *,
    level: Callable[[Variant], float] = lambda _: 60.0,
    breaks_at: Callable[[Variant, int], int] = lambda *_: 0,
    folds: Sequence[str] = FOLDS,
    seeds: Sequence[int] = SEEDS,
    seed: int = 0,
) -> pd.DataFrame:
    """Write an export of scores and return them: `level` in points, a level of each fold and a
    point of noise; a run that breaks at a step, from 1, has diverged with a constant answer's
    score.
    """
    folder.mkdir()
    random = np.random.default_rng(seed)
    fold_level = dict(zip(folds, 4 * random.standard_normal(len(folds)), strict=True))
    rows: list[dict[str, Any]] = []
    for row in variants:
        for fold in folds:
            for s in seeds:
                uar = level(row) + fold_level[fold] + random.standard_normal()
                at = breaks_at(row, s)
                uar = 25.0 if at else uar
                rows.append(
                    {"run": f"{row['label']}{fold}{s}", "role": "study", "variant": row["label"],
                     "activation": row["activation"], "fold": fold, "seed": s,
                     "learning_rate": 2e-3, "selection": "dev", "uar": uar / 100, "war": uar / 100,
                     "dev_uar": 0.6, "loss": 1.0, "steps": 100, "time": 1.0, "diverged": at > 0,
                     "diverged_at": at or np.nan, "train_size": 30, "test_size": 10}
                )  # fmt: skip
    table = pd.DataFrame(rows)
    search = table.assign(role="search", seed=1000, uar=0.99, run=table.run + "s")
    both = pd.concat([table, search])
    both[["run", "diverged_at"]].to_parquet(folder / "runs.parquet")
    both.drop(columns="diverged_at").to_parquet(folder / "scores.parquet")
    told = [
        row | {"family": activations.get(row["activation"]).family,
               "formulas": {place: activations.get(row[place]).text
                            for place in ("activation", "update", "reset")}}
        for row in variants
    ]  # fmt: skip
    (folder / "variants.json").write_text(json.dumps(told))
    provenance = {"format": 1, "study": study, "files": {}, "protocol": {"selection": "dev"},
                  "corpus": {"name": study.upper()}, "seconds": 288.0, "results": len(both),
                  "device": ["cpu"], "code_version": ["0.1.0"]}  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(provenance))
    sign(folder)
    return table.drop(columns="diverged_at")


def sign(folder: Path) -> None:
    """Write anew the digests of an export's files, which a test has changed."""
    path = folder / "provenance.json"
    provenance = json.loads(path.read_text())
    provenance["files"] = {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in folder.iterdir()
        if each != path
    }
    path.write_text(json.dumps(provenance))
