"""Inside the cell: what the gates, the states and the learnt parameters did, and what it cost.

- "Better" is no explanation. Saturated gates, units that no longer move, and how far back an
  error reaches are.
- Quantities are averaged over encoders, directions and seeds inside a fold, so that what is shown
  as scatter is the scatter over folds, as it is for scores.
- A diverged run has no cell worth describing: it counts in `diverged` and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.data.members import Variant
from bench.training.results import MemberResult
from reports.statistics.arrays import FloatArray, IntArray
from reports.statistics.means import mean_of_known

FAINT = 0.1  # an error that fell to a tenth of its size has mostly gone
SATURATION = (
    ("update gate below 0.05", 0, 0),
    ("update gate above 0.95", 0, 1),
    ("reset gate below 0.05", 1, 0),
    ("reset gate above 0.95", 1, 1),
)


@dataclass(frozen=True, kw_only=True)
class PerFold:
    """A quantity over folds: `mean` of what there is, `folds` [fold], NaN where there is none."""

    mean: float
    folds: FloatArray


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A learnt parameter over training: encoder, site, direction, `name` as the formula calls it.

    steps [point]; runs [run, point], units averaged, one row for each run that did not diverge;
    fold [run], the fold's place. initial: where it started. unit_spread [run, point]: standard
    deviation over units, 0 for a parameter per layer.
    """

    encoder: str
    site: str
    direction: str
    name: str
    initial: float
    steps: IntArray
    runs: FloatArray
    unit_spread: FloatArray
    fold: IntArray


@dataclass(frozen=True, kw_only=True)
class GateDiagnostics:
    """The cells of one variant's runs, and what they cost.

    quantities: shares in 0 … 1 of saturated gates (by name) and "dead candidate units"; "norm of h"
    is ‖h‖/√H; "steps back to a tenth" is the distance in pooled frames at which an error entering
    at the last frame has fallen to a tenth (the longest followed where it never does).
    reach [51]: norm of that error relative to distance 0, geometric mean over runs, encoders and
    directions; reach_folds [fold, 51]. Both are empty without diagnostics.
    seconds, memory_bytes: per run, mean and maximum. diverged_at: steps of the diverged runs.
    """

    variant: str
    runs: int
    diverged: int
    diverged_at: tuple[int, ...]
    quantities: dict[str, PerFold]
    reach: FloatArray
    reach_folds: FloatArray
    traces: tuple[Trace, ...]
    seconds: float
    memory_bytes: int
    parameter_count: int


def diagnose(
    label: str, variant: Variant, results: Sequence[MemberResult], folds: Sequence[str]
) -> GateDiagnostics:
    """Diagnose a variant from all its results, at least one; folds: the names on the fold axis."""
    sound = [result for result in results if result.outcome == "ok"]
    place = np.array([folds.index(result.fold) for result in sound], dtype=np.int64)
    reach_folds = _reach(sound, place, len(folds))
    quantities = _quantities(sound, place, len(folds))
    if reach_folds.size:
        quantities["steps back to a tenth"] = _per_fold(
            np.array([_distance(row) for row in reach_folds]), np.arange(len(folds)), len(folds)
        )
    return GateDiagnostics(
        variant=label,
        runs=len(results),
        diverged=len(results) - len(sound),
        diverged_at=tuple(r.diverged_at for r in results if r.diverged_at is not None),
        quantities=quantities,
        reach=_geometric_mean(reach_folds),
        reach_folds=reach_folds,
        traces=_traces(variant, sound, place),
        seconds=float(np.mean([result.wall_seconds for result in results])),
        memory_bytes=max(result.peak_memory_bytes for result in results),
        parameter_count=results[0].parameter_count,
    )


def _quantities(sound: Sequence[MemberResult], place: IntArray, folds: int) -> dict[str, PerFold]:
    found = {}
    if all("saturated" in result.diagnostics for result in sound) and sound:
        shares = [_over_encoders(result.diagnostics["saturated"], 2) for result in sound]
        for name, gate, end in SATURATION:
            found[name] = _per_fold(np.array([s[gate, end] for s in shares]), place, folds)
    for name, key in (("dead candidate units", "dead_units"), ("norm of h", "state_norm")):
        if all(key in result.diagnostics for result in sound) and sound:
            values = np.array([float(_over_encoders(r.diagnostics[key], 0)) for r in sound])
            found[name] = _per_fold(values, place, folds)
    return found


def _over_encoders(values: npt.NDArray[np.generic], trailing: int) -> FloatArray:
    """Mean of values [encoder, direction, …] over the first two axes, leaving NaN entries out."""
    table = np.asarray(values, dtype=np.float64)
    return mean_of_known(table.reshape(-1, *table.shape[table.ndim - trailing :]), axis=0)


def _per_fold(values: FloatArray, place: IntArray, folds: int) -> PerFold:
    """Mean over the runs of each fold, then over folds."""
    by_fold = np.array([mean_of_known(values[place == fold]) for fold in range(folds)])
    return PerFold(mean=float(mean_of_known(by_fold)), folds=by_fold)


def _reach(sound: Sequence[MemberResult], place: IntArray, folds: int) -> FloatArray:
    """Relative error norms [fold, 51]; geometric means, since they fall by orders of magnitude."""
    if not sound or any("gradient_reach" not in result.diagnostics for result in sound):
        return np.empty((0, 0))
    curves = []
    for result in sound:
        norms = np.asarray(result.diagnostics["gradient_reach"], dtype=np.float64)
        norms = norms.reshape(-1, norms.shape[-1])
        relative = np.full(norms.shape, np.nan)
        np.divide(norms, norms[:, :1], out=relative, where=norms[:, :1] > 0)
        curves.append(_geometric_mean(relative))
    table = np.array(curves)
    return np.array([_geometric_mean(table[place == fold]) for fold in range(folds)])


def _geometric_mean(rows: FloatArray) -> FloatArray:
    """Over the first axis of [n, k], without what is missing or not positive; NaN without any."""
    if not rows.size:
        return np.full(rows.shape[1:], np.nan)
    known = np.isfinite(rows) & (rows > 0)
    logs = np.log(np.where(known, rows, 1.0)).sum(axis=0)
    mean = np.exp(logs / np.maximum(known.sum(axis=0), 1))
    return np.asarray(np.where(known.any(axis=0), mean, np.nan))


def _distance(relative: FloatArray) -> float:
    """First distance [k] at which the error is faint; the last one where it never is."""
    known = np.flatnonzero(np.isfinite(relative))
    if not known.size:
        return float("nan")
    faint = [k for k in known if relative[k] <= FAINT]
    return float(faint[0] if faint else known[-1])


def _traces(variant: Variant, sound: Sequence[MemberResult], place: IntArray) -> tuple[Trace, ...]:
    if not sound:
        return ()
    made: list[Trace] = []
    names, initials = _parameter_names(variant)
    for key, first in sound[0].parameters.items():
        encoder, site = key.split(".", 1)
        # an override of the study may have cut single runs short: those have no common steps
        steps = np.asarray(sound[0].curves["step"], dtype=np.int64)
        alike = [r.parameters[key].shape == first.shape for r in sound]
        runs = np.array(
            [r.parameters[key] for r, fits in zip(sound, alike, strict=True) if fits],
            dtype=np.float64,
        )
        made += [
            Trace(
                encoder=encoder,
                site=site,
                direction="backward" if d else "forward",
                name=names[site][p],
                initial=initials[site][p],
                steps=steps,
                runs=runs[:, :, d, p].mean(axis=-1),
                unit_spread=runs[:, :, d, p].std(axis=-1),
                fold=place[np.array(alike)],
            )
            for d in range(first.shape[1])
            for p in range(first.shape[2])
        ]
    return tuple(made)


def _parameter_names(
    variant: Variant,
) -> tuple[Mapping[str, list[str]], Mapping[str, list[float]]]:
    """Names and initial values of each site's parameters, in the order of the saved arrays."""
    sites = {"candidate": variant.activation, "update": variant.update, "reset": variant.reset}
    formulas = {site: activation.formula for site, activation in sites.items()}
    return (
        {site: [p.name for p in formula.parameters] for site, formula in formulas.items()},
        {site: [p.initial for p in formula.parameters] for site, formula in formulas.items()},
    )
