"""How far apart are two shares of a handful of cases? Their difference with an interval.

- Newcombe's square-and-add intervals (1998, Statistics in Medicine 17, 873–890 for two groups,
  method 10, and 2635–2650 for pairs, method 10): Wilson's intervals of both shares put together.
  They stay within ±1 and have a width also where a share is 0 or 1, where a standard error is 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class ShareDifference:
    """The first share less the second, between −1 and 1, with its interval."""

    difference: float
    low: float
    high: float
    confidence: float

    @property
    def shown(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low * self.high > 0


def shares_of_two_groups(
    first: tuple[int, int], second: tuple[int, int], *, confidence: float = 0.95
) -> ShareDifference:
    """The shares of two groups of other cases, each (count, of). Raises ValueError for none."""
    return _square_and_add(first, second, 0.0, confidence)


def shares_of_pairs(
    first: npt.ArrayLike, second: npt.ArrayLike, *, confidence: float = 0.95
) -> ShareDifference:
    """The shares of the same cases under two conditions; first, second: yes or no [case].

    Raises ValueError for no case and for arrays that are not alike.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.shape != two.shape or one.ndim != 1:
        raise ValueError(f"pairs must both be [case], not {one.shape} and {two.shape}")
    both, neither = int((one & two).sum()), int((~one & ~two).sum())
    only, other = int((one & ~two).sum()), int((~one & two).sum())
    # the correlation of both, towards zero where it is positive: as in the paper
    excess: float = both * neither - only * other
    excess = max(excess - one.size / 2, 0.0) if excess > 0 else excess
    margins = (both + only) * (other + neither) * (both + other) * (only + neither)
    correlation = excess / margins**0.5 if margins else 0.0
    return _square_and_add(
        (int(one.sum()), one.size), (int(two.sum()), two.size), correlation, confidence
    )


def _square_and_add(
    first: tuple[int, int], second: tuple[int, int], correlation: float, confidence: float
) -> ShareDifference:
    (p1, low1, high1), (p2, low2, high2) = (_wilson(*each, confidence) for each in (first, second))

    def reach(one: float, two: float) -> float:
        return float(max(one**2 - 2 * correlation * one * two + two**2, 0.0) ** 0.5)

    return ShareDifference(
        difference=p1 - p2,
        low=p1 - p2 - reach(p1 - low1, high2 - p2),
        high=p1 - p2 + reach(high1 - p1, p2 - low2),
        confidence=confidence,
    )


def _wilson(count: int, of: int, confidence: float) -> tuple[float, float, float]:
    """A share with Wilson's interval (1927)."""
    if of < 1:
        raise ValueError("a share needs a case")
    found = stats.binomtest(count, of).proportion_ci(confidence, method="wilson")
    return count / of, float(found.low), float(found.high)
