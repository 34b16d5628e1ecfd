"""Enough seeds: how many a study runs where a rule says so instead of a number.

- More seeds only remove the seeds' part of what an interval is made of. Once that part is small,
  further ones are computing time and nothing else.
- The rule reads variances pooled over all variants, after every variant's own mean and every
  fold's have been taken out: it cannot know which variant leads, and all get the same seeds.
- Where a study stands follows from its results alone, so that an interrupted one goes on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from activations.errors import InputError
from bench.training import metrics
from bench.training.results import MemberResult
from studies.fields import Distinct, Float, Int, Section, counted

Metric = Literal["uar", "war"]  # what verdicts may be about

# of differences, in points: between sessions, and between single seeds (assumed, not measured)
ASSUMED_BETWEEN, ASSUMED_WITHIN = 1.0, 2.0


class SeedRule(Section):
    """Seeds 0 … start - 1 first, then more until their luck is at most the share `until` of the
    variance of a difference, or there are `most`.
    """

    start: Annotated[Int, Field(ge=2)] = 3
    until: Annotated[Float, Field(gt=0, lt=1)] = 0.1
    most: Annotated[Int, Field(le=1000)] = 30

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.most < self.start:
            raise ValueError(f"most ({self.most}) must not be below start ({self.start})")
        return self

    def refuse(self, looks: Sequence[int], variants: int) -> None:
        """Raise ValueError where the rest of a specification leaves a rule no sense."""
        if looks:
            raise ValueError(
                "analysis.looks: verdicts are read once where a rule adds seeds; leave looks out, "
                "or give seeds as a number"
            )
        if variants < 2:
            raise ValueError(
                "seeds: a rule weighs what blurs comparisons, and there is one variant"
            )

    def next(self, noise: "SeedNoise") -> int | None:
        """How many seeds to have next, None where there are enough.

        At most twice as many at once: the forecast of a few seeds is itself uncertain.
        """
        if noise.seeds >= self.most or noise.share <= self.until:
            return None
        wanted = noise.needed(self.until)
        return min(self.most, 2 * noise.seeds, max(noise.seeds + 1, wanted))

    def forecast(self, noise: "SeedNoise | None") -> int:
        """How many seeds there will probably be, by what is known or, without, by assumption."""
        known = noise or SeedNoise(
            between=ASSUMED_BETWEEN**2 / 2, within=ASSUMED_WITHIN**2 / 2, seeds=self.start
        )
        if self.next(known) is None:
            return known.seeds
        return min(self.most, max(known.seeds + 1, known.needed(self.until)))

    def said(self, noise: "SeedNoise | None", *, finished: bool) -> str:
        """Where a study stands, in one sentence. noise: of the results, None without enough."""
        wanted = f"at most {self.until:.0%} of the variance of a difference, or {self.most} seeds"
        if noise is None:
            about = self.forecast(None)
            return (
                f"seeds: {self.start} first, then more until their luck is {wanted}; about {about} "
                f"if differences scatter by {ASSUMED_BETWEEN:g} points between folds and "
                f"{ASSUMED_WITHIN:g} between seeds (assumed)"
            )
        now = (
            f"seeds: {noise.seeds} seeds' luck is {noise.share:.0%} of the variance of a difference"
        )
        if self.next(noise) is None and finished:
            return f"{now}; the rule ({wanted}) has ended"
        return f"{now}, wanted: {wanted}; about {self.forecast(noise)} in all"


# places of faults in a field that has two forms, which nobody wrote and no message names
SEEDS_FORMS = ("seeds by a rule", "seeds by number")
Seeds = Annotated[
    Annotated[SeedRule, Tag(SEEDS_FORMS[0])]
    | Annotated[tuple[Annotated[Int, Field(ge=0)], ...], Distinct, Tag(SEEDS_FORMS[1])],
    Discriminator(lambda value: SEEDS_FORMS[not isinstance(value, Mapping | SeedRule)]),
    BeforeValidator(counted),
]


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """Variances in points², pooled over variants, of what blurs comparisons of `seeds` seeds.

    between: how folds prefer variants differently, at least 0; within: of single runs.
    """

    between: float
    within: float
    seeds: int

    @property
    def share(self) -> float:
        """Of the variance of a seed-averaged difference, what infinitely many seeds would remove;
        0 where nothing scatters.
        """
        luck = self.within / self.seeds
        return luck / (self.between + luck) if luck > 0 else 0.0

    def needed(self, share: float) -> int:
        """The number of seeds whose luck is at most that share; a million where none is."""
        if self.between <= 0:
            return 10**6
        return math.ceil(self.within * (1 - share) / (share * self.between) - 1e-9)


def seed_noise(scores: npt.ArrayLike) -> SeedNoise:
    """What blurs comparisons, of scores [variant, fold, seed] in points without gaps.

    Components of the analysis of variance with variant fixed, fold, seed in fold and fold × variant
    random: fold × variant and rest (Searle, Casella & McCulloch, 1992), the first set to 0 where it
    comes out negative. Raises ValueError for fewer than two variants, folds or seeds, or a gap.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 3 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(f"scores must be finite [variant, fold, seed ≥ 2 each], not {table.shape}")
    v, k, s = table.shape
    cell, by_seed = table.mean(axis=2), table.mean(axis=0)
    crossed = cell - cell.mean(axis=0) - cell.mean(axis=1, keepdims=True) + cell.mean()
    own = table - cell[:, :, None] - by_seed[None] + cell.mean(axis=0)[None, :, None]
    within = float((own**2).sum()) / ((v - 1) * k * (s - 1))
    cross_square = s * float((crossed**2).sum()) / ((v - 1) * (k - 1))
    return SeedNoise(between=max(0.0, (cross_square - within) / s), within=within, seeds=s)


def noise_of(results: Sequence[MemberResult], metric: Metric = "uar") -> SeedNoise | None:
    """What blurs comparisons in the finished members of a study, scored as its protocol selects.

    Only seeds that all variants have in all folds count; None with fewer than two of them, or where
    there is one variant or one fold.
    """
    score = metrics.uar_from if metric == "uar" else metrics.war_from
    found = {
        (r.variant.label, r.fold, r.seed): 100.0
        * float(score(r.confusion(r.identity.protocol.selection)))
        for r in results
    }
    variants = sorted({variant for variant, _, _ in found})
    folds = sorted({fold for _, fold, _ in found})
    seeds = sorted({seed for _, _, seed in found})
    whole = [s for s in seeds if all((v, f, s) in found for v in variants for f in folds)]
    if min(len(variants), len(folds), len(whole)) < 2:
        return None
    return seed_noise([[[found[v, f, s] for s in whole] for f in folds] for v in variants])


def check_rule(folds: int) -> None:
    """Raise InputError where a rule could never know how much folds differ."""
    if folds < 2:
        raise InputError(
            "seeds: a rule weighs the seeds' luck against the scatter over folds, and there is one "
            "fold; give a number of seeds instead, for example: seeds=20"
        )
