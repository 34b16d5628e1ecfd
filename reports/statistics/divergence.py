"""Divergence is an outcome of its own: how often, how sure, and more often than the baseline?

- Runs are counted one by one, although folds and seeds are shared: an interval is exact for runs
  that diverge independently, and too narrow where a hard fold makes many of them diverge.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """Of `runs` runs, `count` diverged: share, with the exact interval low … high."""

    count: int
    runs: int
    share: float
    low: float
    high: float


def divergence_rate(count: int, runs: int, *, confidence: float = 0.95) -> Divergence:
    """The share of runs that diverged with Clopper and Pearson's interval (1934).

    Without a run the share is NaN and the interval says nothing: 0 … 1.
    """
    if runs == 0:
        return Divergence(count=0, runs=0, share=float("nan"), low=0.0, high=1.0)
    found = stats.binomtest(count, runs).proportion_ci(confidence, method="exact")
    return Divergence(
        count=count, runs=runs, share=count / runs, low=float(found.low), high=float(found.high)
    )


def divergence_p(variant: npt.ArrayLike, baseline: npt.ArrayLike) -> float:
    """Exact two-sided p that a variant diverges as often as its baseline (McNemar, 1947).

    variant, baseline: whether each run diverged, paired by fold and seed. Only pairs of which one
    diverged count. 1 where there is none.
    """
    first, second = np.asarray(variant, dtype=bool), np.asarray(baseline, dtype=bool)
    only = int((first & ~second).sum())
    other = int((second & ~first).sum())
    return float(stats.binomtest(only, only + other).pvalue) if only + other else 1.0
