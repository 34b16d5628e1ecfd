"""What this design could have seen: the honest companion of every "not significant".

- Five folds estimate a spread to within a factor of about three, so the smallest detectable
  difference comes with an interval of its own.
- More seeds only shrink the seeds' part of the spread; what folds disagree about stays.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import correction, seed_averaged_differences
from reports.statistics.variance import split_differences

MOST_SEEDS = 1000
MOST_FOLDS = 200


Count = int | None


@dataclass(frozen=True, kw_only=True)
class Power:
    """What differences a test of this design can find, given the spread that was seen.

    detectable: smallest true difference in points found with probability `power` at `level`.
    power_for_effect: probability of finding a true difference of `effect` points. seeds_needed,
    folds_needed: the smallest number of seeds per fold (folds as they are) and of folds (sessions
    of the same size added, seeds as they are) that find `effect` with probability `power`; None
    where no number up to 1000 seeds or 200 folds does. With a single seed the seeds' share of the
    spread is unknown and seeds_needed is None unless the design is enough already.
    …_low, …_high: the same for the ends of the spread's 95 % interval, the fewer points, seeds and
    folds and the smaller probability first.
    """

    level: float
    power: float
    effect: float
    detectable: float
    detectable_low: float
    detectable_high: float
    power_for_effect: float
    power_low: float
    power_high: float
    seeds: int
    folds: int
    seeds_needed: Count
    seeds_low: Count
    seeds_high: Count
    folds_needed: Count
    folds_low: Count
    folds_high: Count


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
    return detectable_at(spread * factor**0.5, degrees or folds - 1, level=level, power=power)


def power_analysis(
    variant: npt.ArrayLike,
    baseline: npt.ArrayLike,
    test_train_ratio: npt.ArrayLike,
    *,
    effect: float = 2.0,
    level: float = 0.05,
    power: float = 0.8,
    spread: float | None = None,
    degrees: float | None = None,
) -> Power:
    """Smallest detectable difference, and the seeds or folds that `effect` points would need.

    variant, baseline: scores [fold, seed] in points (NaN: missing). test_train_ratio: [fold].
    effect: in points; the default is the gain published for AReLU in IAAN. level: that the test is
    judged at, of one among many what finds a family's smallest p. spread, degrees: standard
    deviation over folds and degrees of freedom of the test, by default the differences' own; as
    many degrees estimate the spread. Raises ValueError where fewer than two folds are common.
    """
    differences, usable = seed_averaged_differences(variant, baseline)
    ratio = np.asarray(test_train_ratio, dtype=np.float64)[usable]
    split = split_differences(variant, baseline)
    folds = int(usable.sum())
    seen = float(differences[usable].std(ddof=1)) if spread is None else spread
    freedom = float(folds - 1) if degrees is None else degrees
    design = _Design(ratio, freedom, split.seeds, effect, level, power)
    ends = spread_interval(seen, freedom)
    # both parts of the spread are taken to be as much too small or too large
    shares = [(end, split.within * (end / seen) ** 2 if seen else split.within) for end in ends]
    low, middle, high = (
        detectable_difference(s, ratio, level=level, power=power, degrees=freedom)
        for s in (ends[0], seen, ends[1])
    )
    chances = [
        probability_to_find(effect, s, ratio, level=level, degrees=freedom)
        for s in (ends[1], seen, ends[0])
    ]
    return Power(
        level=level,
        power=power,
        effect=effect,
        detectable=middle,
        detectable_low=low,
        detectable_high=high,
        power_for_effect=chances[1],
        power_low=chances[0],
        power_high=chances[2],
        seeds=split.seeds,
        folds=folds,
        seeds_needed=_seeds_needed(design, seen, split.within),
        seeds_low=_seeds_needed(design, *shares[0]),
        seeds_high=_seeds_needed(design, *shares[1]),
        folds_needed=_folds_needed(design, seen),
        folds_low=_folds_needed(design, ends[0]),
        folds_high=_folds_needed(design, ends[1]),
    )


def detectable_at(
    standard_error: float, degrees: float, *, level: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true difference that a t-test with this standard error finds with `power`.

    In the unit of the standard error; 0 where that is 0.
    """
    if standard_error == 0:
        return 0.0
    # in standard errors; 2 degrees of freedom and level 0.001 still stay below 1000
    found: Any = optimize.brentq(lambda z: _power(z, 1.0, degrees, 1.0, level) - power, 0.0, 5000.0)
    return float(found) * standard_error


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
    critical = special.stdtrit(degrees, 1 - level / 2)
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


@dataclass(frozen=True)
class _Design:
    """What needs are asked for: ratio [fold], degrees of freedom, seeds there are, and the aim."""

    ratio: FloatArray
    degrees: float
    seeds: int
    effect: float
    level: float
    power: float


def _seeds_needed(design: _Design, spread: float, within: float) -> Count:
    """The spread over folds is √(between + within / seeds): solve for the number of seeds."""
    smallest = detectable_difference(
        1.0, design.ratio, level=design.level, power=design.power, degrees=design.degrees
    )
    largest = design.effect / smallest
    if not np.isfinite(within):
        return design.seeds if spread <= largest else None
    between = max(0.0, spread**2 - within / design.seeds)
    if between >= largest**2:
        return None
    needed = int(np.ceil(within / (largest**2 - between))) if within > 0 else 1
    return max(1, needed) if needed <= MOST_SEEDS else None


def _folds_needed(design: _Design, spread: float) -> Count:
    """Each added session is also training data for the other folds: the ratio falls. What a test
    borrows of its family grows as its own degrees of freedom do.
    """
    present, train_units = design.ratio.size, 1.0 / float(design.ratio.mean())
    each = design.degrees / (present - 1)

    def suffice(folds: int) -> bool:
        units = train_units + folds - present
        if units <= 0:
            return False
        factor = 1 / folds + 1 / units
        found = _power(design.effect, spread, each * (folds - 1), factor, design.level)
        return found >= design.power

    # more folds find more, so that halving finds the fewest
    enough = bisect_left(range(2, MOST_FOLDS + 1), True, key=suffice) + 2
    return enough if enough <= MOST_FOLDS else None
