"""A rule that is not the page's yet: a closed test with the variances that the page's rule learns.

- That some comparisons show nothing at all can be rejected because one of their variants lies too
  far from the others, in which there is no baseline. Told that variants scatter alike, such a test
  finds half as much again as the page's rule (`on_oracles`); here it has to learn how they scatter.
- Every set of comparisons is looked at: 511 of nine. It is measured beside the page's rule, for
  whoever carries it on; no report is judged by it.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy import stats

from reports.statistics.arrays import BoolArray, FloatArray
from reports.statistics.corrected_t import correction
from reports.statistics.family import judge
from reports.statistics.means import seed_means
from reports.statistics.moderated import LENT, fit_prior, moderated_t_tests, upper_tail
from reports.statistics.shared_noise import split_noise
from reports.validation.family_worlds import FamilyWorld, Scatter, draw_differences
from reports.validation.rates import Rate, compared, false_positives
from reports.validation.worlds import RATIO

LEVEL = 0.05
COMPARISONS = 9
GAIN = 3.0  # points
NAME = "closed test with the page's variances"
WORLDS: tuple[Scatter, ...] = (
    "alike",
    "one noisy variant",
    "two kinds of scatter",
    "half noisy, correlated 0.8",
    "half noisy, calm baseline",
)


def closed(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Its power where one or three of nine differ, and its errors, n studies each."""
    for many in (1, 3):
        table = _draw("alike", n, rng)
        table[:, :many] += GAIN
        ours = np.abs(judge(table, RATIO, np.zeros(COMPARISONS), level=LEVEL).verdict) == 1
        yield compared(
            f"{NAME}: +{GAIN:g} points in {'one' if many == 1 else many} of {COMPARISONS}",
            "alike; nominal: verdicts",
            closed_test(table)[:, :many].ravel(),
            float(ours[:, :many].mean()),
        )
    for scatter in WORLDS:
        shown = closed_test(_draw(scatter, n, rng)).any(axis=1)
        yield false_positives(f"{NAME}, any of {COMPARISONS}", scatter, shown, LEVEL, promised=True)


def closed_test(differences: FloatArray) -> BoolArray:
    """Which differences [study, m, fold] with one baseline it calls real [study, m].

    A claim that k comparisons are all zero is rejected at half of the level by the smallest p of
    the page's moderated test, and at the other half by the p of the variant that is farthest from
    the mean of the other k - 1 (both Bonferroni); of a single one the first has the whole level.
    """
    means, m = differences.mean(axis=-1), differences.shape[1]
    single = moderated_t_tests(differences, RATIO, np.zeros(m)).p
    variance, degrees = _own_variances(differences)
    held = np.zeros(means.shape, dtype=bool)
    for k in range(1, m + 1):
        for claim in map(list, combinations(range(m), k)):
            stands = single[:, claim].min(axis=1) * k > (LEVEL if k == 1 else LEVEL / 2)
            if k > 1:
                farthest = _apart(means[:, claim], variance[:, claim], degrees[:, claim])
                # of two, each is as far from the other as the other from it
                stands &= farthest * (1 if k == 2 else k) > LEVEL / 2
            held[:, claim] |= stands[:, None]
    return ~held


def _own_variances(differences: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Variances of the variants' own means [study, m] without the baseline, and their degrees:
    residuals about the common course, lent as the page's rule lends.
    """
    m, freedom = differences.shape[1], differences.shape[2] - 1
    residual = split_noise(differences, np.zeros(m)).residual
    prior = fit_prior(residual, freedom, robust=True)
    known = prior.degrees[:, None]
    tail = upper_tail(residual / prior.scale[:, None], freedom, known)
    lent = np.cbrt(tail) * LENT * np.minimum(known, (m - 2) * freedom)
    pooled = (freedom * residual + lent * prior.scale[:, None]) / (freedom + lent)
    # a residual lacks the part of its own variance that is in the common course
    return pooled * m / (m - 1) * correction(freedom + 1, RATIO), freedom + lent


def _apart(means: FloatArray, variance: FloatArray, degrees: FloatArray) -> FloatArray:
    """The smallest p [study] that one of k means [study, k] is that of the others."""
    k = means.shape[1]
    away = (means - means.mean(axis=1, keepdims=True)) * k / (k - 1)
    of_others = (variance.sum(axis=1, keepdims=True) - variance) / (k - 1) ** 2
    total = variance + of_others
    squares = variance**2 / degrees
    freedom = total**2 / (squares + (squares.sum(axis=1, keepdims=True) - squares) / (k - 1) ** 4)
    p = 2 * stats.t.sf(np.abs(away) / np.sqrt(total), freedom)
    return np.asarray(p.min(axis=1), dtype=np.float64)


def _draw(scatter: Scatter, n: int, rng: np.random.Generator) -> FloatArray:
    world = FamilyWorld(comparisons=COMPARISONS, scatter=scatter)
    return seed_means(draw_differences(world, n, rng))
