"""How often a synthesis over corpora is wrong: made-up corpora whose standard errors are guesses.

Each corpus's standard error rests on a few folds, as in a real report; weights made of such guesses
follow chance. The rates are those of docs/statistics.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.statistics.arrays import FloatArray
from reports.statistics.hierarchical import SCALE, posteriors
from reports.statistics.synthesis import Synthesis, random_effects
from reports.validation.rates import Rate, false_positives

LEVEL = 0.05
CORPORA = (2, 3, 5)
FOLDS = 5
UNEQUAL = (0.5, 3.0)  # standard errors of the first and last corpus, in points


@dataclass(frozen=True, kw_only=True)
class CorporaWorld:
    """Corpora without any common difference. tau: by how much true differences vary, in points.

    errors: [corpus], the true standard error of each study's difference. folds: of each study.
    """

    tau: float
    errors: tuple[float, ...]
    folds: int = FOLDS


@dataclass(frozen=True, kw_only=True)
class CorporaRates:
    """Shares of simulated syntheses, nominally 0.05 (level) or 0.95 (cover).

    knapp, equal, both: the Hartung-Knapp test, the unweighted test, and the larger p of the two
    are below the level. heterogeneity: Cochran's test is. new_truth, new_study: the interval covers
    the true difference of a new corpus, or what a study of a mean error finds there.
    """

    knapp: float
    equal: float
    both: float
    heterogeneity: float
    new_truth: float
    new_study: float


def syntheses(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Verdicts over corpora without a common difference, where the errors are most unequal."""
    for corpora in CORPORA:
        for tau in (0.0, 1.0, 3.0):
            errors = tuple(np.linspace(*UNEQUAL, corpora).tolist())
            world = CorporaWorld(tau=tau, errors=errors)
            found = [_one(world, rng, LEVEL)[0] for _ in range(n)]
            name = f"errors from {UNEQUAL[0]:g} to {UNEQUAL[1]:g}, tau {tau:g}"
            yield false_positives(
                f"verdict over {corpora} corpora",
                name,
                [one.p <= LEVEL for one in found],
                LEVEL,
                promised=True,
            )
            yield false_positives(
                f"Hartung-Knapp alone, {corpora} corpora (for contrast)",
                name,
                [one.p_knapp <= LEVEL for one in found],
                LEVEL,
                promised=False,
            )
    yield from _beliefs(max(6, n // 5), rng)


def _beliefs(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """How often the Bayesian interval leaves out the common difference."""
    for corpora in CORPORA[:2]:
        errors = np.linspace(*UNEQUAL, corpora)
        for tau in (None, 0.0, 1.0, 3.0):
            missed = [_missed(errors, tau, rng) for _ in range(n)]
            drawn = f"drawn from its prior, half-normal {SCALE:g}" if tau is None else f"{tau:g}"
            yield false_positives(
                f"Bayesian interval over {corpora} corpora excludes the truth",
                f"errors from {UNEQUAL[0]:g} to {UNEQUAL[1]:g}, tau {drawn}",
                missed,
                LEVEL,
                promised=tau is None,
            )


def _missed(errors: FloatArray, tau: float | None, rng: np.random.Generator) -> bool:
    spread = SCALE * abs(rng.standard_normal()) if tau is None else tau
    measured = np.hypot(errors, spread) * rng.standard_normal(errors.size)
    guessed = errors * np.sqrt(rng.chisquare(FOLDS - 1, errors.size) / (FOLDS - 1))
    degrees = np.full(errors.size, FOLDS - 1.0)
    (found,) = posteriors(measured, guessed, degrees, scales=(SCALE,), confidence=1 - LEVEL)
    return not found.low <= 0 <= found.high


def rates(
    world: CorporaWorld, studies: int, rng: np.random.Generator, *, level: float = 0.05
) -> CorporaRates:
    """Simulate `studies` syntheses of corpora in a world and count."""
    made = [_one(world, rng, level) for _ in range(studies)]
    found, truths, measured = zip(*made, strict=True)

    def share(values: list[bool]) -> float:
        return float(np.mean(values)) if values else float("nan")

    return CorporaRates(
        knapp=share([one.p_knapp <= level for one in found]),
        equal=share([one.equal.p <= level for one in found]),
        both=share([one.p <= level for one in found]),
        heterogeneity=share([one.q_p <= level for one in found]),
        new_truth=share(
            [
                one.new_truth.low <= new <= one.new_truth.high
                for one, new in zip(found, truths, strict=True)
                if one.new_truth is not None
            ]
        ),
        new_study=share(
            [
                one.new_study.low <= new <= one.new_study.high
                for one, new in zip(found, measured, strict=True)
            ]
        ),
    )


def _one(
    world: CorporaWorld, rng: np.random.Generator, level: float
) -> tuple[Synthesis, float, float]:
    """A synthesis, the true difference on a new corpus, and what a study there finds."""
    errors: FloatArray = np.array(world.errors)
    freedom = world.folds - 1
    truths = world.tau * rng.standard_normal(errors.size + 1)
    measured = truths[:-1] + errors * rng.standard_normal(errors.size)
    guessed = errors * np.sqrt(rng.chisquare(freedom, errors.size) / freedom)
    new = float(truths[-1] + rng.choice(errors) * rng.standard_normal())
    found = random_effects(measured, guessed, confidence=1 - level)
    return found, float(truths[-1]), new
