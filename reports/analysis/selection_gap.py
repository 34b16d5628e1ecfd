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

from bench.data.protocol import Protocol
from reports.score_table import Scores
from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import TTest, seed_averaged_differences
from reports.statistics.means import known, mean_of_known, seed_means


@dataclass(frozen=True, kw_only=True)
class SelectionGap:
    """What choosing on the test set adds for one variant, in points, seeds averaged, over folds.

    oracle_gain: over dev, or over the last checkpoint where there is no dev set; of the test only
    mean and interval are meant to be read. None where fewer than two folds have results.
    """

    variant: str
    oracle_gain: TTest | None


@dataclass(frozen=True, kw_only=True)
class SelectionGaps:
    """Gaps of all variants and what the rule does to their ranking.

    rules: those there are, "dev" only where there is a dev set. honest: the one that oracle is held
    against, "dev" or else "last". order: for each rule the labels, best first. reversed_pairs:
    pairs (better by the honest rule, better by oracle) that change places. kendall_tau: rank
    correlation of both, NaN for fewer than two variants. Variants without results are left out.
    """

    rules: tuple[str, ...]
    honest: str
    gaps: tuple[SelectionGap, ...]
    order: dict[str, tuple[str, ...]]
    reversed_pairs: tuple[tuple[str, str], ...]
    kendall_tau: float
    best_changes: bool


def selection_gaps(
    scores: Scores, *, metric: str = "uar", confidence: float = 0.95
) -> SelectionGaps:
    """Return the gaps between selection rules, from the scores [variant, fold, seed, selection]."""
    rules = selection_rules(scores.protocol)
    honest = rules[-2]
    gaps = tuple(
        SelectionGap(variant=variant, oracle_gain=_gap(scores, variant, honest, metric, confidence))
        for variant in scores.variants
    )
    means = {rule: _means(scores.array(metric=metric, selection=rule)) for rule in rules}
    scored = np.flatnonzero(np.isfinite(means[honest]))
    labels = scores.variants
    order = {
        selection: tuple(labels[i] for i in sorted(scored, key=lambda i: -values[i]))
        for selection, values in means.items()
    }
    ours, oracle = means[honest], means["oracle"]
    swapped = []
    for i, j in combinations(scored, 2):
        first, second = (i, j) if ours[i] > ours[j] else (j, i)
        if ours[first] > ours[second] and oracle[second] > oracle[first]:
            swapped.append((labels[first], labels[second]))
    tau = stats.kendalltau(ours[scored], oracle[scored]).statistic if scored.size > 1 else np.nan
    return SelectionGaps(
        rules=rules,
        honest=honest,
        gaps=gaps,
        order=order,
        reversed_pairs=tuple(swapped),
        kendall_tau=float(tau),
        best_changes=bool(scored.size) and order[honest][0] != order["oracle"][0],
    )


def selection_rules(protocol: Protocol) -> tuple[str, ...]:
    """The rules that choose a checkpoint, from the plainest to the one that sees the test set.

    Without a dev set there is no best on it (what results hold under "dev" is the last one).
    """
    return ("last", "oracle") if protocol.dev == "none" else ("last", "dev", "oracle")


def _gap(scores: Scores, variant: str, honest: str, metric: str, confidence: float) -> TTest | None:
    differences, _ = seed_averaged_differences(
        scores.of(variant, metric=metric, selection="oracle"),
        scores.of(variant, metric=metric, selection=honest),
    )
    return scores.test(differences, confidence=confidence)


def _means(scores: FloatArray) -> FloatArray:
    """Mean over seeds, then folds, of what there is: [variant]; NaN without any."""
    return np.array([mean_of_known(known(folds)) for folds in seed_means(scores)])
