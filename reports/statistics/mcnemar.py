"""McNemar's test of accuracy, from the saved predictions.

- Every seed is a pair of networks of its own: adding their tables up would count each utterance
  once per seed. Each seed is tested, and the p-values are combined without assuming that seeds
  are independent, which they are not: they share utterances.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Exact McNemar tests of one variant against its baseline.

    gained, lost: [seed], utterances that only the variant, only the baseline gets right. p: of
    each seed [seed]. combined: one p-value over seeds. difference: mean difference of WAR in
    points. smallest_p: the least combined p that this number of discordant utterances allows;
    reachable: smallest_p ≤ level.
    """

    gained: IntArray
    lost: IntArray
    p: FloatArray
    combined: float
    difference: float
    level: float
    smallest_p: float
    reachable: bool


def mcnemar_test(
    variant: npt.ArrayLike, baseline: npt.ArrayLike, *, level: float = 0.05
) -> McNemar:
    """Exact McNemar test (McNemar, 1947) of WAR, pooled over folds, seeds combined.

    variant, baseline: [seed, U], 1 where right, 0 where wrong, NaN where missing; utterances of
    all folds together; a seed counts where both have results.
    Assumes that utterances are independent. They come in dialogues and from few speakers, so
    it is too trusting about other speakers; it says that these networks differ on utterances
    like these, not that training again would. Seeds are combined by `combine_dependent`.
    Raises ValueError where the shapes differ or no seed has results of both.
    """
    first, second = np.asarray(variant, np.float64), np.asarray(baseline, np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"both must be [seed, U], not {first.shape} and {second.shape}")
    paired = first - second
    paired = paired[np.isfinite(paired).any(axis=1)]
    if not paired.size:
        raise ValueError("no seed has results of both variant and baseline")
    gained, lost = (paired > 0).sum(axis=1), (paired < 0).sum(axis=1)
    p = exact_p(gained, lost)
    smallest = combine_dependent(exact_p(gained + lost, np.zeros_like(lost)))
    known = np.isfinite(paired).sum(axis=1)
    return McNemar(
        gained=gained.astype(np.int64),
        lost=lost.astype(np.int64),
        p=p,
        combined=combine_dependent(p),
        difference=float((100.0 * (gained - lost) / known).mean()),
        level=level,
        smallest_p=smallest,
        reachable=smallest <= level,
    )


def exact_p(gained: npt.ArrayLike, lost: npt.ArrayLike) -> FloatArray:
    """Two-sided exact binomial p-values of discordant counts, any equal shapes; 1 where none."""
    more, less = np.asarray(gained), np.asarray(lost)
    tail = stats.binom.cdf(np.minimum(more, less), more + less, 0.5)
    return np.asarray(np.minimum(1.0, 2.0 * tail), dtype=np.float64)


def combine_dependent(p_values: npt.ArrayLike) -> float:
    """One p-value from several of the same hypothesis, valid under any dependence (Rüger, 1978).

    p_values: [m]. The ⌈m/2⌉-th smallest times m / ⌈m/2⌉, at most 1: about twice the median, and
    the p-value itself where there is one. Raises ValueError for an empty vector.
    """
    p = np.sort(np.asarray(p_values, dtype=np.float64))
    if not p.size:
        raise ValueError("there is no p-value to combine")
    rank = (p.size + 1) // 2
    return float(min(1.0, p[rank - 1] * p.size / rank))
