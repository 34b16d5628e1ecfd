"""Many variants are compared with one baseline: the chance of any false alarm has to stay small."""

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Return Holm's step-down adjusted p-values (Holm, 1979), in the order given.

    p_values: [comparison]; NaN (a comparison that could not be made) stays NaN and does not count
    as a member of the family. Holds the family-wise error rate under any dependence between the
    comparisons, which share a baseline here. Raises ValueError for values outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    made = np.flatnonzero(np.isfinite(p))
    if ((p[made] < 0) | (p[made] > 1)).any():
        raise ValueError("p-values must lie between 0 and 1")
    order = made[np.argsort(p[made], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted
