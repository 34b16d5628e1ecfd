"""Tests that read single predictions, in worlds of known dependence between utterances."""

from collections.abc import Iterator

import numpy as np

from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.bootstrap import Bootstrap, paired_bootstrap
from reports.statistics.permutation import block_contributions, sign_flip_test
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


def predictions(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Sign flips over speakers, bootstraps of speakers and of dialogues: n studies per world."""
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
            speakers[study] = _excludes_zero(_bootstrap(share, corpus, corpus.speakers, rng))
        yield _rate("sign flips of 10 speakers", world, single, fixed=True)
        yield _rate(f"sign flips, any of {COMPARISONS}, max-T", world, family, fixed=True)
        yield false_positives(
            "bootstrap of dialogues excludes 0",
            world.name,
            dialogs,
            LEVEL,
            promised=world is PLAIN,
        )
        yield _rate("bootstrap of speakers excludes 0", world, speakers, fixed=True)


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
