"""Learning curves: means over seeds, then over folds, with intervals over folds.

Seeds × folds as one sample would draw bands far too narrow; the band is the corrected interval
that the table gives, point by point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.training.results import CURVES, MemberResult
from reports.statistics.arrays import FloatArray, IntArray
from reports.statistics.corrected_t import corrected_t_test
from reports.statistics.means import POINTS
from reports.statistics.units import known_by_unit, ratio_by_unit


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One curve of one variant; `name` as in result files, scores in points.

    steps [point]; mean, low, high [point], NaN bounds where fewer than two folds have runs;
    folds [fold, point], seeds averaged, NaN where missing. runs: how many did not diverge and
    were evaluated at these steps.
    """

    variant: str
    name: str
    steps: IntArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    folds: FloatArray
    runs: int


def learning_curves(
    label: str,
    results: Sequence[MemberResult],
    folds: Sequence[str],
    test_train_ratio: FloatArray,
    units: IntArray,
    *,
    confidence: float = 0.95,
) -> tuple[LearningCurve, ...]:
    """Return all curves of one variant; none where no run was evaluated or all diverged."""
    sound = [r for r in results if r.outcome == "ok" and len(r.curves["step"])]
    if not sound:
        return ()
    steps = np.asarray(sound[0].curves["step"], dtype=np.int64)
    sound = [r for r in sound if np.array_equal(r.curves["step"], steps)]
    place = np.array([folds.index(r.fold) for r in sound])
    made = []
    for name in CURVES:
        if name == "step":
            continue
        scale = POINTS if name.endswith(("uar", "war")) else 1.0
        runs = scale * np.array([r.curves[name] for r in sound], dtype=np.float64)
        table = np.full((len(folds), steps.size), np.nan)
        for fold in np.unique(place):
            table[fold] = runs[place == fold].mean(axis=0)
        usable = np.isfinite(table).all(axis=1)
        low, high = np.full((2, steps.size), np.nan)
        merged, ratio = known_by_unit(table, units, axis=0), ratio_by_unit(test_train_ratio, units)
        whole = np.isfinite(merged).all(axis=1)
        if whole.sum() >= 2:
            for k in range(steps.size):
                test = corrected_t_test(merged[whole, k], ratio[whole], confidence=confidence)
                low[k], high[k] = test.low, test.high
        made.append(
            LearningCurve(
                variant=label,
                name=name,
                steps=steps,
                mean=table[usable].mean(axis=0) if usable.any() else np.full(steps.size, np.nan),
                low=low,
                high=high,
                folds=table,
                runs=len(sound),
            )
        )
    return tuple(made)
