"""Worlds of whole families: equally good variants whose scatter is unlike what textbooks assume.

- Every world has the correlation between folds that the correction assumes, so that what a rule
  does wrong is not hidden behind a correction that is too careful.
- Runs are drawn for thousands of studies at once: [study, variant, fold, seed], the baseline first.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.validation.worlds import ASSUMED, FOLD_DEVIATION, SEED_DEVIATION, SEEDS, SESSIONS

Scatter = Literal[
    "alike",
    "one noisy variant",
    "one noisy between folds",
    "noisy baseline",
    "two kinds of scatter",
    "scatter differs",
    "runs from t3",
    "a tenth of runs contaminated",
    "neighbours correlated 0.8",
    "three clusters, correlated 0.7",
    "variants correlated 0.8, baseline apart",
    "two thirds noisy, correlated 0.8",
    "half noisy, correlated 0.8",
    "half noisy, calm baseline",
]
SCATTERS: tuple[Scatter, ...] = Scatter.__args__  # type: ignore[attr-defined]
NOISE = 5.0  # times as much as the rest, in standard deviations
# share of a family's variants, the last ones, that scatter three times as much as the others: with
# two baselines half of them is one whole direction. Found to be the hardest for rules that lend
NOISY: dict[Scatter, float] = {
    "two thirds noisy, correlated 0.8": 2 / 3,
    "half noisy, correlated 0.8": 1 / 2,
    "half noisy, calm baseline": 1 / 2,
}
NOISY_TIMES, CALM_TIMES = 3.0, 0.2


@dataclass(frozen=True, kw_only=True)
class FamilyWorld:
    """A family of `comparisons`, split evenly over `baselines` (directions) with one each."""

    comparisons: int
    baselines: int = 1
    scatter: Scatter = "alike"

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.scatter

    @property
    def groups(self) -> IntArray:
        """The number of each comparison's baseline [m]."""
        return np.repeat(np.arange(self.baselines), self.comparisons // self.baselines)


def draw_differences(
    world: FamilyWorld, studies: int, rng: np.random.Generator, *, seeds: int = SEEDS
) -> FloatArray:
    """Differences of equals from their baselines [study, m, fold, seed], in points."""
    per = world.comparisons // world.baselines
    calm = world.comparisons - round(world.comparisons * NOISY.get(world.scatter, 0.0))
    parts = []
    for one in range(world.baselines):
        noisy = np.r_[False, np.arange(one * per, (one + 1) * per) >= calm]
        runs = draw_runs(world.scatter, per + 1, studies, rng, seeds=seeds, noisy=noisy)
        parts.append(runs[:, 1:] - runs[:, :1])
    return np.concatenate(parts, axis=1)


def draw_runs(
    scatter: Scatter,
    variants: int,
    studies: int,
    rng: np.random.Generator,
    *,
    seeds: int = SEEDS,
    noisy: BoolArray | None = None,
) -> FloatArray:
    """Scores around 0 [study, variant, fold, seed] of equally good variants, in points.

    As in `worlds.draw_scores`, with the scatter that the world names; of every variant, the means
    over seeds are correlated between folds by what the correction assumes.
    noisy: [variant], which of them the worlds of `NOISY` make so; by default none.
    """
    loud = np.zeros(variants, dtype=bool) if noisy is None else noisy
    shape = (studies, variants, SESSIONS.size)
    common = rng.standard_normal((*shape[:2], 1))
    own = rng.standard_normal(shape)
    luck = _luck(scatter, (*shape, seeds), rng)
    if scatter == "neighbours correlated 0.8":
        for part in (common, own):
            part[:] = _share(part[:, np.arange(variants) // 2 * 2], part, 0.8, rng)
    if scatter == "three clusters, correlated 0.7":
        for part in (common, own):
            part[:] = _share(part[:, np.arange(variants) % 3], part, 0.7, rng)
    if scatter == "variants correlated 0.8, baseline apart":
        for part in (common, own):
            part[:, 1:] = _share(part[:, 1:2], part[:, 1:], 0.8, rng)
    if scatter in NOISY and "correlated" in scatter and loud.any():
        for part in (common, own, luck):
            part[:, loud] = _share(part[:, [loud.argmax()]], part[:, loud], 0.8, rng)
    of_folds, of_seeds = _factors(scatter, studies, loud, rng)
    folds, runs = FOLD_DEVIATION * of_folds, SEED_DEVIATION * of_seeds
    total = folds**2 + runs**2 / seeds
    # what all folds share must make up for the seeds' luck, which they do not share
    shared = np.minimum(ASSUMED * total, folds**2)
    half = np.sqrt(0.5)  # a difference of two variants has twice a variant's variance
    return np.asarray(
        half * (np.sqrt(shared) * common + np.sqrt(folds**2 - shared) * own)[..., None]
        + half * runs[..., None] * luck
    )


def _luck(scatter: Scatter, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """What single runs are off by, with variance 1."""
    if scatter == "runs from t3":
        return np.asarray(rng.standard_t(3, shape) / np.sqrt(3.0))
    luck = rng.standard_normal(shape)
    if scatter == "a tenth of runs contaminated":
        luck *= np.where(rng.random(shape) < 0.1, NOISE, 1.0) / np.sqrt(0.9 + 0.1 * NOISE**2)
    return luck


def _factors(
    scatter: Scatter, studies: int, noisy: BoolArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Deviations between folds and seeds, 1 in the plain world: [study, variant, 1]."""
    folds, runs = np.ones((studies, noisy.size, 1)), np.ones((studies, noisy.size, 1))
    folds[:, noisy], runs[:, noisy] = NOISY_TIMES, NOISY_TIMES
    if scatter == "one noisy variant":
        folds[:, 1], runs[:, 1] = NOISE, NOISE
    elif scatter == "one noisy between folds":
        folds[:, 1] = NOISE
    elif scatter == "noisy baseline":
        folds[:, 0], runs[:, 0] = NOISE, NOISE
    elif scatter == "two kinds of scatter":
        folds[:, 1::2], runs[:, 1::2] = 3.0, 3.0
    elif scatter == "half noisy, calm baseline":
        folds[:, 0], runs[:, 0] = CALM_TIMES, CALM_TIMES
    elif scatter == "scatter differs":  # 95 % of standard deviations within a factor of four
        folds = np.exp(0.35 * rng.standard_normal(folds.shape))
        runs = folds
    return folds, runs


def _share(
    source: FloatArray, like: FloatArray, correlation: float, rng: np.random.Generator
) -> FloatArray:
    """Values as `like` that correlate by `correlation` where they have the same source."""
    fresh = rng.standard_normal(like.shape)
    return np.asarray(np.sqrt(correlation) * source + np.sqrt(1 - correlation) * fresh)
