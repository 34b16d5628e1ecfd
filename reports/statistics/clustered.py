"""Least squares with observations that come in clusters: how sure is a coefficient?

- Activations have cousins: twelve variations on Swish are not twelve observations.
- Leaving out one cluster at a time (jackknife; CR3 of Bell and McCaffrey, 2002) gives intervals
  that hold with few and unequal clusters; the usual sandwich is too narrow there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray, vector


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Least squares estimates [k] with their standard errors and interval; clusters - 1 degrees of
    freedom. NaN where leaving out some cluster makes a coefficient impossible to tell.
    """

    estimate: FloatArray
    standard_error: FloatArray
    low: FloatArray
    high: FloatArray
    clusters: int


def clustered_least_squares(
    response: npt.ArrayLike,
    design: npt.ArrayLike,
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
) -> Coefficients:
    """Regress a response [n] on a design [n, k] (with its column of ones).

    Standard errors by the jackknife over clusters [n], centred at the estimate: (G-1)/G times the
    sum of squared deviations. Raises ValueError for a design without full rank, or one cluster.
    """
    y, x = vector(response, "response"), np.asarray(design, dtype=np.float64)
    names = list(dict.fromkeys(clusters))
    if x.ndim != 2 or len(x) != y.size or len(clusters) != y.size:
        raise ValueError(f"design and clusters must have {y.size} rows")
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError("some columns of the design say the same: leave one out")
    if len(names) < 2:
        raise ValueError("one cluster has no scatter over clusters")
    estimate = np.linalg.lstsq(x, y, rcond=None)[0].astype(np.float64)
    of, count = np.asarray(clusters), len(names)
    squares = np.zeros(x.shape[1])
    for name in names:
        kept = of != name
        if np.linalg.matrix_rank(x[kept]) < x.shape[1]:
            squares[:] = np.nan
            break
        without = np.linalg.lstsq(x[kept], y[kept], rcond=None)[0]
        squares += (without - estimate) ** 2
    error = np.sqrt((count - 1) / count * squares)
    reach = float(stats.t.ppf(0.5 + confidence / 2, count - 1)) * error
    return Coefficients(
        estimate=estimate,
        standard_error=error,
        low=estimate - reach,
        high=estimate + reach,
        clusters=count,
    )
