"""Shrunken differences: what to expect of a variant after it was picked for standing out.

- The best of many was also lucky. Variants that share a baseline are drawn towards their common
  mean, by the share of their scatter that is error: empirical Bayes (Morris, 1983).
- The error that all take from their baseline moves all alike and must not count as theirs: errors
  are those of the deviations from the family's mean, fold by fold.
"""

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import correction
from reports.statistics.moderated import fit_prior, squeeze
from reports.statistics.synthesis import best_guesses

FEWEST = 3  # differences: two have one deviation, which says nothing of how deviations vary


def shrunken_differences(
    differences: npt.ArrayLike, test_train_ratio: npt.ArrayLike
) -> FloatArray | None:
    """Empirical Bayes estimates [m] of differences [m, fold] to one baseline, in points.

    differences: seeds averaged, no gaps. test_train_ratio: [fold]. Error variances are corrected as
    in `corrected_t` and drawn towards the family's (`moderated.squeeze`), since few folds measure
    them badly. None for fewer than three differences, or where more than half do not scatter.
    Raises ValueError for fewer than two folds or missing values.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise ValueError(f"differences must be finite and [m, fold ≥ 2], not {table.shape}")
    m, folds = table.shape
    if m < FEWEST:
        return None
    mean = table.mean(axis=1)
    # a deviation from the mean of m has 1 - 1/m of the variance of what it deviates by
    own = (table - table.mean(axis=0)).var(axis=1, ddof=1) / (1 - 1 / m)
    if not np.median(own) > 1e-12:
        return None
    prior = fit_prior(own, folds - 1, robust=True)
    error = squeeze(own, folds - 1, prior) * correction(folds, test_train_ratio)
    return best_guesses(mean, error, mean=float(mean.mean()))
