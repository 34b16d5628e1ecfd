"""Equivalence: "not significant" is no evidence of equality, so equality gets its own test."""

from dataclasses import dataclass

import numpy.typing as npt
from scipy import special

from reports.statistics.corrected_t import TTest, corrected_t_test


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests of |difference| < margin.

    p: the larger of the two one-sided p-values. low, high: the (1 − 2·level) interval in points;
    it lies within ±margin exactly where p < level. smallest_margin: the margin in points from
    which on these data would show equivalence. smallest_p: p if the observed difference were 0,
    with the spread that was seen; reachable: smallest_p < level. Where it is False no observed
    difference would have shown equivalence, and p is not to be read as evidence for a difference.
    """

    margin: float
    level: float
    p: float
    equivalent: bool
    low: float
    high: float
    smallest_margin: float
    smallest_p: float
    reachable: bool


def equivalence_test(
    differences: npt.ArrayLike,
    test_train_ratio: npt.ArrayLike,
    *,
    margin: float = 1.0,
    level: float = 0.05,
) -> Equivalence:
    """TOST (Schuirmann, 1987) with the corrected variance of Nadeau & Bengio (2003).

    differences: [fold], in points, seeds averaged; test_train_ratio: [fold]; margin in points.
    Assumes what the corrected t-test assumes. Raises ValueError as it does and for a margin
    that is not positive.
    """
    if margin <= 0:
        raise ValueError("margin must be positive")
    return equivalence_of(
        corrected_t_test(differences, test_train_ratio), margin=margin, level=level
    )


def equivalence_of(test: TTest, *, margin: float = 1.0, level: float = 0.05) -> Equivalence:
    """TOST with the standard error and the degrees of freedom of a t-test of the same mean."""
    error, freedom = test.standard_error, test.degrees_of_freedom
    reach = float(special.stdtrit(freedom, 1 - level)) * error
    if error == 0:
        p, smallest = float(abs(test.mean) >= margin), 0.0
    else:
        p = float(special.stdtr(freedom, (abs(test.mean) - margin) / error))
        smallest = float(special.stdtr(freedom, -margin / error))
    return Equivalence(
        margin=margin,
        level=level,
        p=p,
        equivalent=p < level,
        low=test.mean - reach,
        high=test.mean + reach,
        smallest_margin=abs(test.mean) + reach,
        smallest_p=smallest,
        reachable=smallest < level,
    )
