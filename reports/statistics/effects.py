"""Effect sizes: how large, beside how sure.

Five folds give rough effect sizes; points of UAR stay the unit a reader should judge by.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.arrays import vector


@dataclass(frozen=True, kw_only=True)
class EffectSizes:
    """Effect sizes over folds; only `difference` has a unit (points).

    d_z: mean difference / standard deviation of the differences (Cohen, 1988): how consistent it
    is. g_z: d_z with Hedges' (1981) correction for few folds. d_av: mean difference / mean of the
    two standard deviations over folds (Lakens, 2013): how large against the spread of scores.
    cliffs_delta: P(variant's fold > baseline's fold) − P(less), folds unpaired (Cliff, 1993).
    wins, ties, losses: folds. error_reduction: share of the baseline's missing points gained.
    d_z, g_z, d_av are NaN where their denominator is 0.
    """

    difference: float
    d_z: float
    g_z: float
    d_av: float
    cliffs_delta: float
    wins: int
    ties: int
    losses: int
    error_reduction: float


def effect_sizes(variant: npt.ArrayLike, baseline: npt.ArrayLike) -> EffectSizes:
    """Return the effect sizes of a variant over a baseline, both [fold] in points.

    The spread over folds is descriptive: folds share training data, so these are not the
    effect sizes of independent repetitions. Raises ValueError for fewer than two folds, missing
    values or different lengths.
    """
    first, second = vector(variant, "variant", least=2), vector(baseline, "baseline", least=2)
    if first.size != second.size:
        raise ValueError(f"variant has {first.size} folds, baseline {second.size}")
    paired = first - second
    mean = float(paired.mean())
    d_z = _ratio(mean, float(paired.std(ddof=1)))
    dominance = np.sign(first[:, None] - second[None, :])
    return EffectSizes(
        difference=mean,
        d_z=d_z,
        g_z=d_z * hedges_correction(first.size - 1),
        d_av=_ratio(mean, float((first.std(ddof=1) + second.std(ddof=1)) / 2)),
        cliffs_delta=float(dominance.mean()),
        wins=int((paired > 0).sum()),
        ties=int((paired == 0).sum()),
        losses=int((paired < 0).sum()),
        error_reduction=_ratio(mean, 100.0 - float(second.mean())),
    )


def hedges_correction(degrees_of_freedom: int) -> float:
    """Return Hedges' exact factor Γ(m/2) / (√(m/2) Γ((m − 1)/2)), m degrees of freedom (1981).

    Meant for m ≥ 2; NaN for m = 1, where it does not exist.
    """
    m = degrees_of_freedom
    if m < 2:
        return float("nan")
    logarithm = special.gammaln(m / 2) - special.gammaln((m - 1) / 2)
    return float(np.exp(logarithm) / np.sqrt(m / 2))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
