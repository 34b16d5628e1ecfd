"""Means of what there is: over seeds, over folds, over runs. Missing runs are NaN and left out.

- Seeds are averaged first, inside their fold; folds are what is compared. Everything that averages
  calls this module, so that a table, a curve and a test cannot disagree on a gap.
"""

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray

POINTS = 100.0  # result files hold shares; tables of the field print points


def mean_of_known(values: npt.ArrayLike, *, axis: int = -1) -> FloatArray:
    """Mean over one axis of the finite values; NaN where there is none."""
    table = np.asarray(values, dtype=np.float64)
    known = np.isfinite(table)
    total = np.where(known, table, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def seed_means(scores: npt.ArrayLike) -> FloatArray:
    """Scores [..., fold, seed] averaged over seeds: [..., fold]; NaN where a fold has no run."""
    return mean_of_known(scores, axis=-1)


def known(values: FloatArray) -> FloatArray:
    """The finite ones of values [n]."""
    return values[np.isfinite(values)]
