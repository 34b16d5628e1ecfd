"""What this design could have seen: the honest companion of every "not significant".

- Five folds estimate a spread to within a factor of about three, so the smallest detectable
  difference comes with an interval of its own.
- More seeds only shrink the seeds' part of the spread; what folds disagree about stays.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import correction, seed_averaged_differences
from reports.statistics.variance import split_differences

MOST_SEEDS = 1000
MOST_FOLDS = 200


@dataclass(frozen=True, kw_only=True)
class Power:
    """What differences the corrected t-test can find, given the spread that was seen.

    detectable: smallest true difference in points found with probability `power` at `level`;
    detectable_low, detectable_high: the same for the ends of the spread's 95 % interval.
    power_for_effect: probability of finding a true difference of `effect` points.
    seeds_needed, folds_needed: the smallest number of seeds per fold (folds as they are) and of
    folds (sessions of the same size added, seeds as they are) that find `effect` with probability
    `power`; None where no number up to 1000 seeds or 200 folds does. With a single seed the seeds'
    share of the spread is unknown and seeds_needed is None unless the design is enough already.
    """

    level: float
    power: float
    effect: float
    detectable: float
    detectable_low: float
    detectable_high: float
    power_for_effect: float
    seeds: int
    folds: int
    seeds_needed: int | None
    folds_needed: int | None


def probability_to_find(
    effect: float,
    spread: float,
    test_train_ratio: npt.ArrayLike,
    *,
    level: float = 0.05,
    degrees: float | None = None,
) -> float:
    """Probability that the corrected t-test finds a true difference, two-sided.

    effect: true difference in points; spread: standard deviation over folds of the seed-averaged
    differences, in points; test_train_ratio: [fold]. degrees: of freedom of the test, by default
    folds − 1. Exact (non-central t) where folds are correlated as Nadeau & Bengio (2003) assume.
    Raises ValueError for fewer than two folds.
    """
    folds = np.asarray(test_train_ratio).size
    if folds < 2:
        raise ValueError("power needs at least two folds")
    factor = correction(folds, test_train_ratio)
    return _power(effect, spread, degrees or folds - 1, factor, level)


def detectable_difference(
    spread: float,
    test_train_ratio: npt.ArrayLike,
    *,
    level: float = 0.05,
    power: float = 0.8,
    degrees: float | None = None,
) -> float:
    """Smallest true difference in points that the corrected t-test finds with probability `power`.

    Arguments as in `probability_to_find`, whose inverse this is; 0 where the spread is 0.
    """
    folds = np.asarray(test_train_ratio).size
    factor = correction(folds, test_train_ratio)
    if spread == 0:
        return 0.0
    unit = spread * np.sqrt(factor)
    # in standard errors; 2 degrees of freedom and level 0.001 still stay below 1000
    freedom = degrees or folds - 1
    found = optimize.brentq(lambda z: _power(z, 1.0, freedom, 1.0, level) - power, 0.0, 5000.0)
    return float(found * unit)


def power_analysis(
    variant: npt.ArrayLike,
    baseline: npt.ArrayLike,
    test_train_ratio: npt.ArrayLike,
    *,
    effect: float = 2.0,
    level: float = 0.05,
    power: float = 0.8,
) -> Power:
    """Smallest detectable difference, and the seeds or folds that `effect` points would need.

    variant, baseline: scores [fold, seed] in points (NaN: missing). test_train_ratio: [fold].
    effect: in points; the default is the gain published for AReLU in IAAN.
    Raises ValueError where fewer than two folds are common to both.
    """
    differences, usable = seed_averaged_differences(variant, baseline)
    ratio = np.asarray(test_train_ratio, dtype=np.float64)[usable]
    split = split_differences(variant, baseline)
    spread = float(differences[usable].std(ddof=1))
    folds = int(usable.sum())
    ends = spread_interval(spread, folds - 1)
    low, middle, high = (
        detectable_difference(s, ratio, level=level, power=power)
        for s in (ends[0], spread, ends[1])
    )
    return Power(
        level=level,
        power=power,
        effect=effect,
        detectable=middle,
        detectable_low=low,
        detectable_high=high,
        power_for_effect=probability_to_find(effect, spread, ratio, level=level),
        seeds=split.seeds,
        folds=folds,
        seeds_needed=_seeds_needed(
            spread, split.within, split.seeds, ratio, effect, level=level, power=power
        ),
        folds_needed=_folds_needed(spread, ratio, effect, level=level, power=power),
    )


def spread_interval(
    spread: float, degrees: float, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a standard deviation of normal data, from degrees · s² / χ²."""
    tail = (1 - confidence) / 2
    low, high = np.sqrt(degrees / stats.chi2.ppf([1 - tail, tail], degrees)) * spread
    return float(low), float(high)


def _power(effect: float, spread: float, degrees: float, factor: float, level: float) -> float:
    """P(|T| > critical) of a non-central t, by averaging a normal tail over the estimated spread.

    scipy's own (1.17) returns NaN from a shift of about 30 standard errors on with few folds.
    """
    if spread == 0:
        return 1.0 if effect else level
    critical = stats.t.ppf(1 - level / 2, degrees)
    shift = abs(effect) / (spread * np.sqrt(factor))
    estimated, weight = _spread_nodes(degrees)
    tails = special.ndtr(shift - critical * estimated) + special.ndtr(-shift - critical * estimated)
    return float(weight @ tails)


@cache
def _legendre() -> tuple[FloatArray, FloatArray]:
    """Gauss's nodes and weights on [−1, 1]: an eigenvalue problem, so solved once."""
    return np.polynomial.legendre.leggauss(400)


@cache
def _spread_nodes(freedom: float) -> tuple[FloatArray, FloatArray]:
    """Quadrature nodes and weights over the distribution of s / σ with `freedom` degrees."""
    node, weight = _legendre()
    estimated = np.sqrt(stats.chi2.ppf((node + 1) / 2, freedom) / freedom)
    return np.asarray(estimated, dtype=np.float64), np.asarray(weight / 2, dtype=np.float64)


def _seeds_needed(
    spread: float,
    within: float,
    seeds: int,
    ratio: npt.ArrayLike,
    effect: float,
    *,
    level: float,
    power: float,
) -> int | None:
    """The spread over folds is √(between + within / seeds): solve for the number of seeds."""
    largest = effect / detectable_difference(1.0, ratio, level=level, power=power)
    if not np.isfinite(within):
        return seeds if spread <= largest else None
    between = max(0.0, spread**2 - within / seeds)
    if between >= largest**2:
        return None
    needed = int(np.ceil(within / (largest**2 - between))) if within > 0 else 1
    return max(1, needed) if needed <= MOST_SEEDS else None


def _folds_needed(
    spread: float, ratio: npt.ArrayLike, effect: float, *, level: float, power: float
) -> int | None:
    """Each added session is also training data for the other folds: the ratio falls."""
    shares = np.asarray(ratio, dtype=np.float64)
    present, train_units = shares.size, 1.0 / float(shares.mean())
    for folds in range(2, MOST_FOLDS + 1):
        units = train_units + folds - present
        if units > 0 and _power(effect, spread, folds - 1, 1 / folds + 1 / units, level) >= power:
            return folds
    return None
