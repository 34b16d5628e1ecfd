"""Many variants are compared with one baseline: the chance of any false alarm has to stay small."""

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Return Holm's step-down adjusted p-values (Holm, 1979), in the order given.

    p_values: [..., comparison], each row a family; NaN (a comparison that could not be made) stays
    NaN and does not count as a member of the family. Holds the family-wise error rate under any
    dependence between the comparisons, which share a baseline here. Raises ValueError for values
    outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p-values must lie between 0 and 1")
    order = np.argsort(p, axis=-1, kind="stable")  # NaN last
    members = np.isfinite(p).sum(axis=-1, keepdims=True)
    factors = members - np.arange(p.shape[-1])
    raised = np.take_along_axis(p, order, axis=-1) * factors
    adjusted = np.full(p.shape, np.nan)
    steps = np.minimum(1.0, np.maximum.accumulate(raised, axis=-1))
    np.put_along_axis(adjusted, order, steps, axis=-1)
    return np.where(np.isfinite(p), adjusted, np.nan)
