"""Tests that read scores[variant, fold, seed], in worlds of known correlation between folds."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from reports.statistics.arrays import FloatArray
from reports.statistics.bayes import correlated_t_posterior
from reports.statistics.corrected_t import corrected_t_test
from reports.statistics.equivalence import equivalence_test
from reports.statistics.factorial import factor_contrasts
from reports.statistics.multiplicity import holm
from reports.statistics.permutation import sign_flip_test
from reports.statistics.power import detectable_difference, probability_to_find
from reports.statistics.ranks import friedman_nemenyi
from reports.statistics.variance import variance_components
from reports.validation.rates import Rate, bias, false_positives, power
from reports.validation.worlds import (
    AS_ASSUMED,
    INDEPENDENT,
    RATIO,
    SEED_DEVIATION,
    SESSIONS,
    STRONGER,
    ScoreWorld,
    draw_scores,
    expected_spread,
)

LEVEL = 0.05
COMPARISONS = 9  # ten activations, one of them the baseline
MARGIN = 1.0
GAIN = 2.0  # points: the gain published for AReLU


def comparisons_with_a_baseline(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """The t-tests, their family, the posterior and the sign flips of folds: n studies per world."""
    for world in (INDEPENDENT, AS_ASSUMED, STRONGER):
        studies = np.stack([draw_scores(world, COMPARISONS + 1, rng) for _ in range(n)])
        paired = studies[:, 1:] - studies[:, :1]
        yield _naive(world, "25 runs taken as independent pairs", paired[:, 0].reshape(n, -1))
        yield _naive(world, "plain t-test of fold means", paired[:, 0].mean(axis=-1))
        p = np.array(
            [[corrected_t_test(d, RATIO).p for d in study.mean(axis=-1)] for study in paired]
        )
        yield false_positives(
            "corrected t-test", world.name, p[:, 0] <= LEVEL, LEVEL, promised=_assumed(world)
        )
        yield false_positives(
            f"corrected t-test, any of {COMPARISONS}, uncorrected",
            world.name,
            p.min(axis=1) <= LEVEL,
            LEVEL,
            promised=False,
        )
        family = np.array([holm(row).min() for row in p])
        yield false_positives(
            f"corrected t-test, any of {COMPARISONS}, Holm",
            world.name,
            family <= LEVEL,
            LEVEL,
            promised=_assumed(world),
        )
    flips = [sign_flip_test(d.mean(-1)[None, 0] / 5, rng=rng).p[0] for d in paired[: n // 4]]
    yield false_positives(
        "sign flips of 5 folds",
        "any: p is never below 0.0625",
        np.array(flips) <= LEVEL,
        LEVEL,
        promised=True,
    )


def margins_and_power(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Equivalence and posterior at the edge of the margin, and power against its prediction."""
    for world in (INDEPENDENT, AS_ASSUMED, STRONGER):
        differences = _differences(world, n, rng)
        edge = [equivalence_test(d + MARGIN, RATIO, margin=MARGIN).equivalent for d in differences]
        yield false_positives(
            "equivalence, true difference at the margin",
            world.name,
            edge,
            LEVEL,
            promised=_assumed(world),
        )
        sure = [
            correlated_t_posterior(d + MARGIN, RATIO, rope=MARGIN).better > 1 - LEVEL
            for d in differences
        ]
        yield false_positives(
            "posterior: P(better) > 0.95, true difference at the rope's edge",
            world.name,
            sure,
            LEVEL,
            promised=_assumed(world),
        )
    spread = expected_spread(AS_ASSUMED)
    smallest = detectable_difference(spread, RATIO, level=LEVEL, power=0.8)
    differences = _differences(AS_ASSUMED, n, rng)
    for effect, name in ((GAIN, "the published gain"), (smallest, "the detectable difference")):
        yield power(
            f"corrected t-test, {effect:.1f} points: {name}",
            AS_ASSUMED.name,
            [corrected_t_test(d + effect, RATIO).p <= LEVEL for d in differences],
            probability_to_find(effect, spread, RATIO, level=LEVEL),
            promised=True,
        )


def ranks_and_components(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Friedman's test of ten equal variants, and the variance components' bias."""
    for world in (INDEPENDENT, AS_ASSUMED):
        p = [
            friedman_nemenyi(draw_scores(world, COMPARISONS + 1, rng).mean(-1), rng=rng).p
            for _ in range(n)
        ]
        yield false_positives(
            "Friedman by permutation",
            world.name,
            np.array(p) <= LEVEL,
            LEVEL,
            promised=world is INDEPENDENT,
        )
    found = [variance_components(draw_scores(INDEPENDENT, 10, rng)) for _ in range(10 * n)]
    rest = SEED_DEVIATION**2 / 2
    yield bias("variance of single runs", INDEPENDENT.name, [f.rest for f in found], rest)
    yield bias(
        "variance of fold × variant", INDEPENDENT.name, [f.fold_by_variant for f in found], 0.5
    )


def factors(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Contrasts of four activations × two directions that are all equally good."""
    activations, directions = ("a0", "a1", "a2", "a3"), ("d0", "d1")
    for world in (INDEPENDENT, AS_ASSUMED, STRONGER):
        found: dict[str, list[bool]] = {}
        for _ in range(n):
            scores = draw_scores(world, 8, rng).reshape(4, 2, SESSIONS.size, -1)
            contrasts = factor_contrasts(
                scores, activations, directions, RATIO, baseline="a0", reference_direction="d0"
            )
            for factor in dict.fromkeys(c.factor for c in contrasts):
                smallest = min(c.p_holm for c in contrasts if c.factor == factor)
                found.setdefault(factor, []).append(smallest <= LEVEL)
        for name, rejected in found.items():
            yield false_positives(
                f"factor contrasts, any of {name}, Holm",
                world.name,
                rejected,
                LEVEL,
                promised=_assumed(world),
            )


def _assumed(world: ScoreWorld) -> bool:
    """Whether folds are correlated at most as the correction assumes."""
    return world.correlation <= AS_ASSUMED.correlation


def _naive(world: ScoreWorld, test: str, pairs: FloatArray) -> Rate:
    """The test that published tables rest on, for contrast."""
    p = stats.ttest_1samp(pairs, 0.0, axis=1).pvalue
    return false_positives(test, world.name, p <= LEVEL, LEVEL, promised=False)


def _differences(world: ScoreWorld, n: int, rng: np.random.Generator) -> FloatArray:
    """Seed-averaged differences of two equal variants [study, fold]."""
    studies = np.stack([draw_scores(world, 2, rng).mean(axis=-1) for _ in range(n)])
    return np.asarray(studies[:, 1] - studies[:, 0])
