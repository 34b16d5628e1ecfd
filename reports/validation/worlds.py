"""Worlds in which the truth is known: simulated scores and predictions for checking the tests.

- Folds are IEMOCAP's five sessions with their sizes; the next session is the dev set, so each
  fold has its own test/train ratio.
- Folds are correlated because they share training data. How strongly nobody knows for real
  data: worlds differ in it, and one has exactly what Nadeau and Bengio assume.
- Sizes of effects are guesses at IEMOCAP's order: differences between two networks scatter by a
  point over sessions and by two between single seeds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray, IntArray

SESSIONS = np.array([1085, 1023, 1151, 1031, 1241])  # four-class utterances of IEMOCAP
RATIO: FloatArray = SESSIONS / (SESSIONS.sum() - SESSIONS - np.roll(SESSIONS, -1))
ASSUMED = float(RATIO.mean() / (1 + RATIO.mean()))  # the correlation that the correction implies
SEEDS = 5
FOLD_DEVIATION = 1.0  # points, of a difference's true value over sessions
SEED_DEVIATION = 2.0  # points, of the difference of two single runs
SHARES = np.array([1103, 1636, 1708, 1084]) / 5531
DIALOGS = 30  # per session: IEMOCAP has 151 in all
UTTERANCE_SEEDS = 3


@dataclass(frozen=True)
class ScoreWorld:
    """Scores of equally good variants; correlation: of seed-averaged differences between folds."""

    name: str
    correlation: float


INDEPENDENT = ScoreWorld("folds independent", 0.0)
AS_ASSUMED = ScoreWorld(f"folds correlated {ASSUMED:.2f}, as assumed", ASSUMED)
STRONGER = ScoreWorld("folds correlated 0.50", 0.5)


@dataclass(frozen=True)
class UtteranceWorld:
    """Predictions of equally good networks; deviations of the shift of a network, in points.

    by_speaker, by_dialog: between speakers and dialogues. by_training: what training again would
    change for a whole session, between sessions and between seeds.
    """

    name: str
    by_speaker: float
    by_dialog: float
    by_training: float


PLAIN = UtteranceWorld("utterances independent", 0.0, 0.0, 0.0)
SPEAKERS = UtteranceWorld("speakers and dialogues differ", 1.5, 3.0, 0.0)
RETRAINED = UtteranceWorld("and training again differs", 1.5, 3.0, 1.0)


def fold_deviation() -> float:
    """Standard deviation over sessions of a seed-averaged difference, in points."""
    return float(np.sqrt(FOLD_DEVIATION**2 + SEED_DEVIATION**2 / SEEDS))


def expected_spread(world: ScoreWorld) -> float:
    """What the standard deviation over the five folds of one study estimates, in points."""
    return fold_deviation() * float(np.sqrt(1 - world.correlation))


def draw_scores(world: ScoreWorld, variants: int, rng: np.random.Generator) -> FloatArray:
    """Scores [variant, fold, seed] of equally good variants, in points.

    Between any two variants, single-seed differences deviate by FOLD_DEVIATION between sessions
    and SEED_DEVIATION between seeds; seed means are correlated between folds as the world says.
    """
    folds = SESSIONS.size
    # what is common to all folds has to make up for the seeds' share, which is not correlated
    common = world.correlation * fold_deviation() ** 2
    own = FOLD_DEVIATION**2 - common
    shape = (variants, folds, SEEDS)
    half = np.sqrt(0.5)  # a difference of two variants has twice a variant's variance
    return np.asarray(
        65.0
        + 2.0 * rng.standard_normal((1, folds, 1))
        + half * np.sqrt(common) * rng.standard_normal((variants, 1, 1))
        + half * np.sqrt(own) * rng.standard_normal((variants, folds, 1))
        + half * SEED_DEVIATION * rng.standard_normal(shape)
    )


@dataclass(frozen=True, eq=False)
class Utterances:
    """A test corpus of IEMOCAP's size: all [U]; speakers and dialogues are numbered throughout."""

    truths: IntArray
    folds: IntArray
    speakers: IntArray
    dialogs: IntArray


def draw_utterances(rng: np.random.Generator, *, first: float = 0.5) -> Utterances:
    """Five sessions of IEMOCAP's sizes, two speakers and thirty dialogues each.

    first: the share of utterances that one speaker of each session says.
    """
    folds = np.repeat(np.arange(SESSIONS.size), SESSIONS)
    dialogs = np.concatenate([np.sort(rng.integers(0, DIALOGS, n)) for n in SESSIONS])
    return Utterances(
        truths=rng.choice(SHARES.size, folds.size, p=SHARES),
        folds=folds,
        speakers=2 * folds + (rng.random(folds.size) >= first),
        dialogs=DIALOGS * folds + dialogs,
    )


def draw_correct(
    world: UtteranceWorld, corpus: Utterances, networks: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Which predictions are right [network, seed, U]; all networks are equally good on average.

    An utterance's difficulty is shared by all networks; each network also has its own lasting
    opinion of an utterance, and each seed another. A prediction is right where the sum is
    positive, which happens at 66 %.
    """
    size = (networks, UTTERANCE_SEEDS)
    # one point of recall is about this much of the latent sum, whose deviation is 1.4
    point = 0.01 * 1.4 / 0.366
    half = point * np.sqrt(0.5)  # deviations are those of a difference between two networks
    people = half * world.by_speaker * rng.standard_normal((networks, 2 * SESSIONS.size))
    talks = half * world.by_dialog * rng.standard_normal((networks, DIALOGS * SESSIONS.size))
    sessions = half * world.by_training * rng.standard_normal((networks, 1, SESSIONS.size))
    luck = half * 2 * world.by_training * rng.standard_normal((*size, SESSIONS.size))
    latent = rng.standard_normal((*size, corpus.truths.size), dtype=np.float32)
    latent *= 0.5
    latent += 0.6 * rng.standard_normal((networks, 1, corpus.truths.size), dtype=np.float32)
    latent += (0.58 + 1.17 * rng.standard_normal(corpus.truths.size)).astype(np.float32)
    shift = people[:, corpus.speakers] + talks[:, corpus.dialogs]
    latent += shift[:, None].astype(np.float32)
    latent += (sessions + luck)[:, :, corpus.folds].astype(np.float32)
    return np.asarray(latent > 0)
