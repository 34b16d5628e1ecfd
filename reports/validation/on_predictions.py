"""Tests that read single predictions, in worlds of known dependence between utterances."""

from collections.abc import Iterator

import numpy as np

from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.bootstrap import Bootstrap, paired_bootstrap
from reports.statistics.means import POINTS
from reports.statistics.permutation import block_contributions, flip_interval, sign_flip_test
from reports.validation.rates import Rate, false_positives
from reports.validation.worlds import (
    PLAIN,
    RETRAINED,
    SPEAKERS,
    Utterances,
    UtteranceWorld,
    draw_correct,
    draw_utterances,
)

LEVEL = 0.05
COMPARISONS = 4
RESAMPLES = 500
DOMINANT = 0.9


def predictions(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Sign flips over speakers, their interval, bootstraps of dialogues: n studies per world."""
    corpus = draw_utterances(rng)
    for world in (PLAIN, SPEAKERS, RETRAINED):
        single, family, dialogs, speakers = np.zeros((4, n), dtype=bool)
        for study in range(n):
            correct = draw_correct(world, corpus, COMPARISONS + 1, rng).astype(np.float64)
            share = correct.mean(axis=1)
            rows = [
                block_contributions(one, share[0], corpus.truths, corpus.folds, corpus.speakers)
                for one in share[1:]
            ]
            flips = sign_flip_test(rows, rng=rng)
            single[study] = flips.p[0] <= LEVEL
            family[study] = flips.adjusted.min() <= LEVEL
            dialogs[study] = _excludes_zero(_bootstrap(share, corpus, corpus.dialogs, rng))
            speakers[study] = _outside(rows[0], corpus, rng)
        yield _rate("sign flips of 10 speakers", world, single, fixed=True)
        yield _rate(f"sign flips, any of {COMPARISONS}, max-T", world, family, fixed=True)
        yield false_positives(
            "bootstrap of dialogues excludes 0",
            world.name,
            dialogs,
            LEVEL,
            promised=world is PLAIN,
        )
        yield _rate("interval of 10 speakers excludes 0", world, speakers, fixed=True)
    yield from _dominated(n, rng)


def _dominated(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """One speaker of each session says nine tenths of it; networks suit speakers differently."""
    corpus = draw_utterances(rng, first=DOMINANT)
    flipped, drawn = np.zeros((2, n), dtype=bool)
    for study in range(n):
        share = draw_correct(SPEAKERS, corpus, 2, rng).astype(np.float64).mean(axis=1)
        row = block_contributions(share[1], share[0], corpus.truths, corpus.folds, corpus.speakers)
        flipped[study] = _outside(row, corpus, rng)
        drawn[study] = _excludes_zero(_bootstrap(share, corpus, corpus.speakers, rng))
    world = "five of ten speakers say 90 %"
    for test, hits, kept in (
        ("interval of 10 speakers excludes 0", flipped, True),
        ("bootstrap of speakers excludes 0 (for contrast)", drawn, False),
    ):
        yield false_positives(test, world, hits, LEVEL, promised=kept)


def _outside(row: FloatArray, corpus: Utterances, rng: np.random.Generator) -> bool:
    """Whether the interval that sign flips leave excludes the truth, which is 0."""
    ones = np.ones(corpus.truths.size)
    shares = block_contributions(ones, 0 * ones, corpus.truths, corpus.folds, corpus.speakers)
    low, high = flip_interval(row, shares / POINTS, confidence=1 - LEVEL, rng=rng)
    return low > 0 or high < 0


def _rate(test: str, world: UtteranceWorld, hits: BoolArray, *, fixed: bool) -> Rate:
    """Tests that take the networks as they are promise nothing about training again."""
    promised = fixed and world is not RETRAINED
    return false_positives(test, world.name, hits, LEVEL, promised=promised)


def _bootstrap(
    share: FloatArray, corpus: Utterances, units: IntArray, rng: np.random.Generator
) -> Bootstrap:
    return paired_bootstrap(share[1], share[0], corpus.truths, units, rng=rng, resamples=RESAMPLES)


def _excludes_zero(found: Bootstrap) -> bool:
    return found.low > 0 or found.high < 0
