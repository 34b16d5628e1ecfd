"""Selection gap: how much a score gains by choosing the checkpoint on the test set.

- Part of the literature picks the best checkpoint on the test session. Every result file holds
  what `dev`, `oracle` and `last` would have reported, so the gap is measured, not argued about.
- `oracle` can never be below the others: the gap's size is of interest, a test of it is not.
- If the ranking of variants changes with the rule, the rule decided, not the variant.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from reports.score_table import Scores
from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import TTest, seed_averaged_differences
from reports.statistics.means import known, mean_of_known, seed_means


@dataclass(frozen=True, kw_only=True)
class SelectionGap:
    """Differences in points between selection rules for one variant, seeds averaged, over folds.

    Of both tests only mean and interval are meant to be read. None where fewer than two folds
    have results.
    """

    variant: str
    oracle_minus_dev: TTest | None
    last_minus_dev: TTest | None


@dataclass(frozen=True, kw_only=True)
class SelectionGaps:
    """Gaps of all variants and what the rule does to their ranking.

    order: for each selection the labels, best first. reversed_pairs: pairs (better by dev, better
    by oracle) that change places. kendall_tau: rank correlation of dev with oracle, NaN for fewer
    than two variants. Variants without results are left out.
    """

    gaps: tuple[SelectionGap, ...]
    order: dict[str, tuple[str, ...]]
    reversed_pairs: tuple[tuple[str, str], ...]
    kendall_tau: float
    best_changes: bool


def selection_gaps(
    scores: Scores, *, metric: str = "uar", confidence: float = 0.95
) -> SelectionGaps:
    """Return the gaps between selection rules, from the scores [variant, fold, seed, selection]."""
    gaps = tuple(
        SelectionGap(
            variant=variant,
            oracle_minus_dev=_gap(scores, variant, "oracle", metric, confidence),
            last_minus_dev=_gap(scores, variant, "last", metric, confidence),
        )
        for variant in scores.variants
    )
    means = {s: _means(scores.array(metric=metric, selection=s)) for s in ("dev", "oracle", "last")}
    scored = np.flatnonzero(np.isfinite(means["dev"]))
    labels = scores.variants
    order = {
        selection: tuple(labels[i] for i in sorted(scored, key=lambda i: -values[i]))
        for selection, values in means.items()
    }
    dev, oracle = means["dev"], means["oracle"]
    swapped = []
    for i, j in combinations(scored, 2):
        first, second = (i, j) if dev[i] > dev[j] else (j, i)
        if dev[first] > dev[second] and oracle[second] > oracle[first]:
            swapped.append((labels[first], labels[second]))
    tau = stats.kendalltau(dev[scored], oracle[scored]).statistic if scored.size > 1 else np.nan
    return SelectionGaps(
        gaps=gaps,
        order=order,
        reversed_pairs=tuple(swapped),
        kendall_tau=float(tau),
        best_changes=bool(scored.size) and order["dev"][0] != order["oracle"][0],
    )


def _gap(
    scores: Scores, variant: str, selection: str, metric: str, confidence: float
) -> TTest | None:
    differences, _ = seed_averaged_differences(
        scores.of(variant, metric=metric, selection=selection),
        scores.of(variant, metric=metric, selection="dev"),
    )
    return scores.test(differences, confidence=confidence)


def _means(scores: FloatArray) -> FloatArray:
    """Mean over seeds, then folds, of what there is: [variant]; NaN without any."""
    return np.array([mean_of_known(known(folds)) for folds in seed_means(scores)])
