"""Friedman and Nemenyi: a picture of ranks, never the basis of a conclusion here.

- Reviewers ask for a critical-difference diagram. It ranks within folds, treats folds as
  independent and throws the size of differences away, so it is shown only where it can reach
  significance at all, and from an exact distribution where folds are few.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray

SAMPLED = 20_000


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Friedman's test with Nemenyi's critical difference; `mean_ranks` [variant], 1 is best.

    p: by permutation of the scores within folds (`permutations` drawn). critical_difference:
    least difference of mean ranks that Nemenyi's test calls significant at `level`.
    groups: index tuples of variants, best first, that it does not tell apart (the bars of the
    diagram). smallest_p: the least p that this number of folds and variants allows.
    reachable: smallest_p ≤ level and the critical difference is at most the greatest possible
    difference of mean ranks, k − 1. Where it is False, draw no diagram.
    """

    mean_ranks: FloatArray
    statistic: float
    p: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]
    folds: int
    variants: int
    permutations: int
    level: float
    smallest_p: float
    reachable: bool


def friedman_nemenyi(
    scores: npt.ArrayLike, *, rng: np.random.Generator, level: float = 0.05
) -> Ranks:
    """Friedman's test (1937) and Nemenyi's critical difference (Demšar, JMLR 7, 2006).

    scores: [variant, fold] in points, seeds averaged, larger is better, no gaps.
    Assumes independent folds (they share training data: p is too small by an unknown amount) and
    for the critical difference no ties. Friedman's χ² is far off with five folds; p is therefore
    taken from permutations within folds.
    Raises ValueError for fewer than two variants or folds, or missing values.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(f"scores must be finite and [variant ≥ 2, fold ≥ 2], not {table.shape}")
    variants, folds = table.shape
    ranks = stats.rankdata(-table, axis=0)
    mean_ranks = ranks.mean(axis=1)
    observed = float(((mean_ranks - (variants + 1) / 2) ** 2).sum())
    drawn = _permuted_spread(ranks, rng)
    p = float((np.sum(drawn >= observed * (1 - 1e-10)) + 1) / (SAMPLED + 1))
    # (k!)^n arrangements, of which the k! that agree in all folds are the most extreme
    smallest = float(factorial(variants)) ** (1 - folds)
    difference = nemenyi_critical_difference(variants, folds, level=level)
    spread = float(((ranks - (variants + 1) / 2) ** 2).sum())
    return Ranks(
        mean_ranks=mean_ranks,
        statistic=folds**2 * (variants - 1) * observed / spread if spread else 0.0,
        p=p,
        critical_difference=difference,
        groups=rank_groups(mean_ranks, difference),
        folds=folds,
        variants=variants,
        permutations=SAMPLED,
        level=level,
        smallest_p=smallest,
        reachable=smallest <= level and difference <= variants - 1,
    )


def nemenyi_critical_difference(variants: int, folds: int, *, level: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks: q √(k(k + 1)/6n), q studentised range / √2."""
    q = stats.studentized_range.ppf(1 - level, variants, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(variants * (variants + 1) / (6 * folds)))


def rank_groups(mean_ranks: FloatArray, difference: float) -> tuple[tuple[int, ...], ...]:
    """Maximal runs of variants [in order of rank] whose mean ranks differ by less than the CD."""
    order = np.argsort(mean_ranks, kind="stable")
    runs: list[tuple[int, ...]] = []
    last_end = -1
    for start in range(order.size):
        near = mean_ranks[order] - mean_ranks[order[start]] < difference
        end = int(np.flatnonzero(near)[-1])
        if end > start and end > last_end:
            runs.append(tuple(int(i) for i in order[start : end + 1]))
        last_end = max(last_end, end)
    return tuple(runs)


def _permuted_spread(ranks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Σ (mean rank − middle)² under permutations within folds: [permutation]."""
    variants, folds = ranks.shape
    total = np.zeros((SAMPLED, variants))
    for fold in range(folds):
        total += rng.permuted(np.tile(ranks[:, fold], (SAMPLED, 1)), axis=1)
    return np.asarray(((total / folds - (variants + 1) / 2) ** 2).sum(axis=1), dtype=np.float64)
