"""Results as columns, and columns as results: what the Parquet files of an export hold.

- Whoever reads the files needs no gateswap: one row per thing, plain types, names of the field.
- Nothing is lost: a result that is read again is the one that was written, to the last bit, so that
  a report from an export is the original's, number by number.
- Utterances are told once for each fold, not once for each run.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.data.members import Member
from bench.training import metrics
from bench.training.identity import Identity
from bench.training.results import CURVES, SELECTIONS, MemberResult

Array = npt.NDArray[Any]
Named = Mapping[str, MemberResult]  # results by the hash of their member

UTTERANCES = ("ids", "truths", "speakers", "dialogs", "lengths", "improvised")
LONGEST_CELL = 20_000  # bytes of a cell: a name of 5,000 letters
PER_RUN = (
    *("outcome", "diverged_at", "train_size", "test_size", "wall_seconds", "stack_members"),
    *("peak_memory_bytes", "parameter_count"),
)


def runs_table(members: Mapping[str, Member], roles: Mapping[str, str], results: Named) -> pa.Table:
    """One row per member, also of those without a result: its settings and what became of it.

    roles: `study`, `search` or `tried` of each member.
    """
    rows = []
    for key, member in members.items():
        result = results.get(key)
        row: dict[str, Any] = {
            "run": key,
            "role": roles[key],
            "variant": member.variant.label,
            "fold": member.fold,
            "seed": member.seed,
            "settings": json.dumps(member.hyper.identity()),
            "member": json.dumps(member.as_dict(), ensure_ascii=False),
        }
        if result is not None:
            row |= {name: getattr(result, name) for name in PER_RUN}
            row["selected_step"] = json.dumps(dict(result.selected_step))
            row["identity"] = json.dumps(result.identity.as_dict(), ensure_ascii=False)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=_RUNS)


_RUNS = pa.schema(
    [
        *((name, pa.string()) for name in ("run", "role", "variant", "fold")),
        ("seed", pa.int64()),
        ("settings", pa.string()),
        ("outcome", pa.string()),
        ("diverged_at", pa.int64()),
        ("train_size", pa.int64()),
        ("test_size", pa.int64()),
        ("wall_seconds", pa.float64()),
        *((n, pa.int64()) for n in ("stack_members", "peak_memory_bytes", "parameter_count")),
        *((name, pa.string()) for name in ("selected_step", "member", "identity")),
    ]
)


def scores_table(roles: Mapping[str, str], results: Named) -> pa.Table:
    """One row per finished run and selection rule; UAR and WAR are shares of the test fold.

    loss: the training loss at the evaluation before the selected step; NaN for a diverged run.
    steps: the selected step. time: seconds, the stack's divided by its members.
    """
    rows = []
    for key, result in results.items():
        for selection in SELECTIONS:
            counts, step = result.confusion(selection), int(result.selected_step[selection])
            at = np.flatnonzero(result.curves["step"] == step)
            loss = float(result.curves["train_loss"][at[0]]) if at.size else float("nan")
            rows.append(
                {
                    "run": key,
                    "role": roles[key],
                    "variant": result.variant.label,
                    "activation": result.variant.activation.name,
                    "fold": result.fold,
                    "seed": result.seed,
                    "learning_rate": result.hyper.learning_rate,
                    "selection": selection,
                    "uar": float(metrics.uar_from(counts)),
                    "war": float(metrics.war_from(counts)),
                    "dev_uar": result.dev_uar(selection),
                    "loss": loss,
                    "steps": step,
                    "diverged": result.outcome == "diverged",
                    "time": result.wall_seconds,
                    "train_size": result.train_size,
                    "test_size": result.test_size,
                }
            )
    return pa.Table.from_pylist(rows)


def utterances_table(results: Named) -> pa.Table:
    """One row per test utterance of each fold, in the order of the predictions."""
    columns: dict[str, list[Any]] = {name: [] for name in ("fold", "position", *UTTERANCES)}
    for fold, result in _one_of_each_fold(results).items():
        n = len(result.ids)
        columns["fold"] += [fold] * n
        columns["position"] += range(n)
        for name in UTTERANCES:
            columns[name] += getattr(result, name).tolist()
    return pa.table(columns)


def predictions_table(roles: Mapping[str, str], results: Named) -> pa.Table:
    """One row per run, selection rule and test utterance: truth and a logit for each class."""
    parts: list[pa.Table] = []
    for key, result in results.items():
        n = len(result.ids)
        for selection in SELECTIONS:
            logits = result.logits[selection]
            columns: dict[str, Any] = {
                "run": _repeated(key, n),
                "role": _repeated(roles[key], n),
                "variant": _repeated(result.variant.label, n),
                "fold": _repeated(result.fold, n),
                "seed": np.full(n, result.seed, np.int32),
                "selection": _repeated(selection, n),
                "id": pa.array(result.ids.tolist()).dictionary_encode(),
                "truth": pa.array([result.classes[t] for t in result.truths]).dictionary_encode(),
            }
            columns |= {
                f"logit_{name}": logits[:, c].astype(np.float32, copy=False)
                for c, name in enumerate(result.classes)
            }
            parts.append(pa.table(columns))
    return pa.concat_tables(parts).unify_dictionaries()


def curves_table(results: Named) -> pa.Table:
    """One row per run and evaluation: losses, dev and test scores, gradient norm."""
    columns: dict[str, list[Any]] = {name: [] for name in ("run", *CURVES)}
    for key, result in results.items():
        columns["run"] += [key] * len(result.curves["step"])
        for name in CURVES:
            columns[name] += result.curves[name].tolist()
    return pa.table(columns)


def details_table(results: Named) -> pa.Table:
    """One row per run and array: learnt parameters, diagnostics, the dev set's truths and logits,
    and the type of those that have a table of their own.
    """
    rows = []
    for key, result in results.items():
        for name, array in _details(result).items():
            rows.append(
                {
                    "run": key,
                    "name": name,
                    "type": array.dtype.str,
                    "shape": list(array.shape),
                    "values": array.astype(np.float64).ravel().tolist(),
                }
            )
        for name, array in _elsewhere(result).items():
            rows.append({"run": key, "name": name, "type": array.dtype.str})
    return pa.Table.from_pylist(rows, schema=_DETAILS)


_DETAILS = pa.schema(
    [
        *((name, pa.string()) for name in ("run", "name", "type")),
        ("shape", pa.list_(pa.int64())),
        ("values", pa.list_(pa.float64())),
    ]
)


def members_of(runs: Sequence[Mapping[str, Any]], *roles: str) -> dict[str, Member]:
    """The members by hash, of runs in these roles."""
    return {
        row["run"]: Member.from_dict(json.loads(row["member"]))
        for row in runs
        if row["role"] in roles
    }


def results_of(
    runs: Sequence[Mapping[str, Any]],
    tables: Mapping[str, pa.Table],
    classes: Sequence[str],
) -> dict[str, MemberResult]:
    """The results by hash that the tables hold; tables: by their file's name without suffix."""
    utterances = _grouped(tables["utterances"], "fold")
    predictions = _grouped(tables["predictions"], "run")
    curves = _grouped(tables["curves"], "run")
    details: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in tables["details"].to_pylist():
        details.setdefault(row["run"], {})[row["name"]] = row
    found = {}
    for row in runs:
        key = row["run"]
        if row["outcome"] is None:
            continue
        own = {
            name: _array(entry)
            for name, entry in details[key].items()
            if entry["shape"] is not None
        }
        types = {n: _type(e["type"]) for n, e in details[key].items() if e["shape"] is None}
        table = utterances[row["fold"]]
        fields: dict[str, Any] = {
            name: np.array(table.column(name).to_pylist(), dtype=types[name]) for name in UTTERANCES
        }
        fields["curves"] = {
            name: np.array(curves[key].column(name).to_pylist(), dtype=types[f"curves/{name}"])
            if key in curves
            else np.zeros(0, types[f"curves/{name}"])
            for name in CURVES
        }
        fields["logits"] = _logits(predictions[key], classes, types)
        for group in ("parameters", "diagnostics", "dev_logits"):
            start = f"{group}/"
            fields[group] = {
                n.removeprefix(start): a for n, a in own.items() if n.startswith(start)
            }
        found[key] = MemberResult(
            identity=Identity.from_dict(json.loads(row["identity"])),
            selected_step=json.loads(row["selected_step"]),
            classes=tuple(classes),
            dev_truths=own["dev_truths"],
            **{name: row[name] for name in PER_RUN},
            **fields,
        )
    return found


def _logits(
    table: pa.Table, classes: Sequence[str], types: Mapping[str, np.dtype[Any]]
) -> dict[str, Array]:
    rule = np.array(table.column("selection").to_pylist())
    columns = [table.column(f"logit_{name}").to_numpy() for name in classes]
    stacked = np.stack(columns, axis=1)
    return {s: stacked[rule == s].astype(types[f"logits/{s}"], copy=False) for s in SELECTIONS}


def _details(result: MemberResult) -> dict[str, Array]:
    arrays = {"dev_truths": np.asarray(result.dev_truths)}
    for group in ("parameters", "diagnostics", "dev_logits"):
        arrays |= {f"{group}/{n}": np.asarray(a) for n, a in getattr(result, group).items()}
    return arrays


def _elsewhere(result: MemberResult) -> dict[str, Array]:
    """The arrays that have a table of their own."""
    arrays: dict[str, Array] = {name: getattr(result, name) for name in UTTERANCES}
    arrays |= {f"curves/{name}": result.curves[name] for name in CURVES}
    return arrays | {f"logits/{name}": result.logits[name] for name in SELECTIONS}


def _array(entry: Mapping[str, Any]) -> Array:
    values = np.array(entry["values"], dtype=np.float64)
    return values.astype(_type(entry["type"])).reshape(entry["shape"])


def _type(text: str) -> np.dtype[Any]:
    """The type of an array of a result. Raises ValueError for one that no result has."""
    found = np.dtype(text)
    if found.kind not in "biufU" or found.itemsize > LONGEST_CELL:
        raise ValueError(f"arrays of {text[:20]}")
    return found


def _grouped(table: pa.Table, column: str) -> dict[str, pa.Table]:
    """Slices of a table whose rows of one value lie together."""
    values = np.array(table.column(column).to_pylist(), dtype=object)
    if not values.size:
        return {}
    edges = np.flatnonzero(np.r_[True, values[1:] != values[:-1], True])
    return {
        str(values[start]): table.slice(start, end - start)
        for start, end in itertools.pairwise(edges)
    }


def _one_of_each_fold(results: Named) -> dict[str, MemberResult]:
    by_fold: dict[str, MemberResult] = {}
    for result in results.values():
        by_fold.setdefault(result.fold, result)
    return dict(sorted(by_fold.items()))


def _repeated(value: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(times, np.int32), pa.array([value]))


def differing_utterances(results: Iterable[MemberResult]) -> str:
    """The first fold whose results do not all test the same utterances; empty where they do."""
    first: dict[str, MemberResult] = {}
    for result in results:
        known = first.setdefault(result.fold, result)
        if any(
            not np.array_equal(getattr(known, name), getattr(result, name)) for name in UTTERANCES
        ):
            return result.fold
    return ""
