"""The noise floor: how far apart are two runs that differ in nothing but the seed?

- Read off the runs there are, before any variant is compared with another: a difference inside
  this range is what training twice makes of one network.
- It is not the interval of a comparison: variants share seeds, and folds disagree about them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.means import seed_means


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """Half widths in points of the range of differences between a variant and itself.

    single: of one seed and another, averaged over folds; averaged: of the mean of `seeds` seeds and
    of as many others. confidence: of the range. degrees: that the scatter over seeds rests on.
    """

    single: float
    averaged: float
    seeds: float
    folds: int
    degrees: int
    confidence: float


def noise_floor(scores: npt.ArrayLike, *, confidence: float = 0.95) -> NoiseFloor | None:
    """The noise floor of scores [variant, fold, seed] in points; NaN: missing or to be left out.

    Variances over seeds inside fold and variant, pooled: differences of fold means of two seeds
    have 2 s² / k, Student's t with the pooled degrees of freedom. None without a second seed.
    """
    table = np.asarray(scores, dtype=np.float64)
    known = np.isfinite(table)
    counts = known.sum(axis=-1)
    degrees = int(np.maximum(counts - 1, 0).sum())
    folds = int(known.any(axis=(0, 2)).sum())
    if not degrees:
        return None
    apart = np.where(known, table - seed_means(table)[..., None], 0.0)
    deviation = float(np.sqrt(2.0 * (apart**2).sum() / degrees / folds))
    reach = float(stats.t.ppf(0.5 + confidence / 2, degrees)) * deviation
    seeds = float(1.0 / (1.0 / counts[counts > 0]).mean())
    return NoiseFloor(
        single=reach,
        averaged=reach / seeds**0.5,
        seeds=seeds,
        folds=folds,
        degrees=degrees,
        confidence=confidence,
    )
