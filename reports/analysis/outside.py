"""Other people's results: predictions of any model on a study's folds, beside the study's own.

- The table is checked against the study's test utterances before anything is compared: every one
  once for each seed, in its fold. A model tested on less, or on other folds, is not comparable.
- What is tested is what the design allows. One run says nothing about training again, so speakers
  alone are what is sampled; several seeds in every fold allow the report's own test over folds.
- Their seeds have nothing in common with ours: fold means are paired, seeds are not.
"""

import csv
import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from activations.errors import InputError
from activations.files import file_bytes
from bench.training import metrics
from reports.analysis.settings import Settings
from reports.score_table import Predictions, Scores
from reports.statistics.arrays import FloatArray, IntArray
from reports.statistics.corrected_t import TTest
from reports.statistics.means import POINTS, mean_of_known, seed_means
from reports.statistics.multiplicity import holm
from reports.statistics.permutation import block_contributions, sign_flip_test

LOGIT = "logit_"


@dataclass(frozen=True, kw_only=True)
class OutsideModel:
    """Another model's predictions. predicted: class numbers [seed, U], U as in our Predictions.

    uar, war: [fold, seed], points. pooled_uar, pooled_war: all folds in one confusion matrix, means
    over seeds.
    """

    name: str
    seeds: tuple[str, ...]
    predicted: IntArray
    uar: FloatArray
    war: FloatArray
    pooled_uar: float
    pooled_war: float


@dataclass(frozen=True, kw_only=True)
class BesideOutside:
    """One of our variants against the other model; points of UAR, ours − theirs.

    difference: of fold means. test: over folds, None for one run. p: adjusted over our variants,
    by max-T (speakers) or Holm (folds); NaN where the design cannot reach the level.
    """

    variant: str
    uar: float
    war: float
    difference: float
    test: TTest | None
    p: float


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A study beside another model. unit: what is sampled; smallest_p: the least that it allows."""

    study: str
    model: OutsideModel
    unit: Literal["speakers", "folds"]
    smallest_p: float
    rows: tuple[BesideOutside, ...]


def read_predictions(path: Path, ours: Predictions) -> OutsideModel:
    """Read a CSV file with the columns id, fold, seed (or none: one run) and either label or a
    logit for each class (the class's name, or logit_ and its name).

    Raises InputError naming the file, the row (1 is the header) and what to do: columns that are
    missing; ids that are unknown, double or missing; folds, labels or logits that cannot be.
    """
    try:
        text = file_bytes(path).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = list(reader.fieldnames or [])
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV in UTF-8 ({error})") from None
    says = _columns(path, columns, ours.classes)
    place = {unicodedata.normalize("NFC", name): u for u, name in enumerate(ours.ids.tolist())}
    said: dict[str, IntArray] = {}
    for line, row in rows:
        where = f"{path}, row {line}"
        name = unicodedata.normalize("NFC", (row["id"] or "").strip())
        seed = (row.get("seed") or "").strip()
        if name not in place:
            raise InputError(
                f"{where}: no test utterance {name!r} in this study; its ids look like "
                f"{ours.ids[0]!r}. Leave out what the study does not test"
            )
        u = place[name]
        fold = ours.folds[int(ours.fold[u])]
        if (row["fold"] or "").strip() != fold:
            raise InputError(
                f"{where}: {name} is tested in fold {fold} here, not in {row['fold']!r}. Predict "
                "it with the model that was not trained on that fold's test set, and name folds as "
                f"this study does: {', '.join(ours.folds)}"
            )
        own = said.setdefault(seed, np.full(len(place), -1, dtype=np.int64))
        if own[u] >= 0:
            raise InputError(
                f"{where}: {name} occurs twice{f' for seed {seed}' if seed else ''}. Keep one row, "
                "or tell runs apart in a column 'seed'"
            )
        own[u] = _class(where, row, says, ours.classes)
    if not said:
        raise InputError(f"{path} has no row below its header: one per test utterance is needed")
    for seed, own in said.items():
        if (own < 0).any():
            absent = ours.ids[own < 0]
            raise InputError(
                f"{path}: {len(absent)} of {len(own)} test utterances are missing"
                f"{f' for seed {seed}' if seed else ''}, the first is {absent[0]}. Predict all, or "
                "the scores are not of the same test set"
            )
    return _model(path.stem, said, ours)


def beside(
    scores: Scores,
    ours: Predictions,
    model: OutsideModel,
    settings: Settings,
    *,
    tested: bool = True,
) -> Beside:
    """Compare every variant of a study with another model; no p where none is due (tested)."""
    selection = settings.selection
    theirs = seed_means(model.uar)
    means = {v: seed_means(scores.of(v, selection=selection)) for v in scores.variants}
    tests: dict[str, TTest] = {}
    if len(model.seeds) > 1:
        for variant, own in means.items():
            test = scores.test(own - theirs, confidence=settings.confidence)
            if test is not None:
                tests[variant] = test
        adjusted = holm([tests[v].p if v in tests else np.nan for v in scores.variants])
        smallest = 0.0
    else:
        adjusted, smallest = _over_speakers(ours, model, settings)
    rows = []
    for variant, p in zip(scores.variants, adjusted, strict=True):
        war = seed_means(scores.of(variant, metric="war", selection=selection))
        rows.append(
            BesideOutside(
                variant=variant,
                uar=float(mean_of_known(means[variant])),
                war=float(mean_of_known(war)),
                difference=float(mean_of_known(means[variant] - theirs)),
                test=tests.get(variant),
                p=float(p) if tested else math.nan,
            )
        )
    return Beside(
        study=scores.study,
        model=model,
        unit="folds" if len(model.seeds) > 1 else "speakers",
        smallest_p=smallest,
        rows=tuple(rows),
    )


def _columns(path: Path, columns: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """The columns that say what was predicted: {class: column}, or {} for a column of labels."""
    for name in ("id", "fold"):
        if name not in columns:
            raise InputError(
                f"{path}, row 1: there is no column {name!r}; needed are id, fold, seed (where "
                f"there are several runs), and label or one logit for each class; found: "
                f"{', '.join(columns) or 'nothing'}"
            )
    found = {c: n for c in classes for n in (c, LOGIT + c) if n in columns}
    if len(found) == len(classes):
        return found
    if "label" in columns:
        return {}
    raise InputError(
        f"{path}, row 1: there is neither a column 'label' nor a logit for each class; lacking: "
        f"{', '.join(LOGIT + c for c in classes if c not in found)}"
    )


def _class(
    where: str, row: Mapping[str, str | None], says: Mapping[str, str], classes: Sequence[str]
) -> int:
    if not says:
        label = (row["label"] or "").strip()
        if label not in classes:
            raise InputError(
                f"{where}: no class {label!r} in this study. Use one of {', '.join(classes)}"
            )
        return classes.index(label)
    logits = []
    for name in classes:
        text = row[says[name]] or ""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{where}: {says[name]} is {text!r}, not a finite number. A run that diverged has "
                "no logits: give its labels instead, or leave the seed out and say so"
            )
        logits.append(value)
    return int(np.argmax(logits))


def _model(name: str, said: Mapping[str, IntArray], ours: Predictions) -> OutsideModel:
    predicted = np.stack(list(said.values()))
    size = len(ours.classes)
    uar = np.full((len(ours.folds), len(said)), np.nan)
    war = uar.copy()
    for f in range(len(ours.folds)):
        here = ours.fold == f
        if here.any():
            counts = metrics.confusion(ours.truths[here], predicted[:, here], size)
            uar[f], war[f] = POINTS * metrics.uar_from(counts), POINTS * metrics.war_from(counts)
    counts = metrics.confusion(ours.truths, predicted, size)
    return OutsideModel(
        name=name,
        seeds=tuple(said),
        predicted=predicted,
        uar=uar,
        war=war,
        pooled_uar=POINTS * float(metrics.uar_from(counts).mean()),
        pooled_war=POINTS * float(metrics.war_from(counts).mean()),
    )


def _over_speakers(
    ours: Predictions, model: OutsideModel, settings: Settings
) -> tuple[FloatArray, float]:
    """Sign flips over speakers, max-T over variants: (adjusted p, NaN out of reach; smallest p)."""
    _, speaker = np.unique(ours.speakers, return_inverse=True)
    right = (model.predicted[0] == ours.truths).astype(np.float64)
    rows = [
        block_contributions(
            mean_of_known(ours.correct(v, selection=settings.selection), axis=0),
            right,
            ours.truths,
            ours.fold,
            speaker,
        )
        for v in ours.variants
    ]
    rng = np.random.default_rng(settings.seed)
    test = sign_flip_test(np.stack(rows), level=settings.level, rng=rng)
    p = test.adjusted if test.reachable else np.full(len(rows), np.nan)
    return p, test.smallest_p
