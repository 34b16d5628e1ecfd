"""Where the scatter comes from, and what follows from it: more seeds, or more speech.

- Seeds are nested in folds: seed 1 of fold A and seed 1 of fold B share nothing but a number.
- A seed means the same initial weights and batches in every variant of a fold, so "seed" is what
  variants share; what is left over is each run's own.
- The smaller of two mean squares may come out larger: a negative estimate is set to 0 and said so.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from activations.wording import counted
from reports.statistics.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class VarianceComponents:
    """Variance of single scores, split; variances in points², shares add up to 1.

    fold: sessions differ for every variant alike. seed: what a seed does to all variants of a
    fold. fold_by_variant: sessions prefer different variants. rest: a run's own luck.
    Of these, only `fold_by_variant` and `rest` blur differences between variants.
    removable: share of the variance of a seed-averaged difference that infinitely many seeds
    would remove. truncated: components whose estimate was negative and is reported as 0.
    advice: one sentence. With a single seed, `seed` and `rest` are NaN: they cannot be told from
    the other two, which then contain them.
    """

    fold: float
    seed: float
    fold_by_variant: float
    rest: float
    shares: dict[str, float]
    removable: float
    truncated: tuple[str, ...]
    variants: int
    folds: int
    seeds: int
    advice: str


@dataclass(frozen=True, kw_only=True)
class DifferenceSplit:
    """Variance in points² of paired differences: over folds, and over seeds inside folds.

    within: variance of a single seed's difference inside a fold, NaN with one seed everywhere.
    between: what remains of the folds' variance, at least 0. seeds: harmonic mean over folds of
    the number of common seeds, rounded.
    """

    between: float
    within: float
    seeds: int
    folds: int


def variance_components(scores: npt.ArrayLike) -> VarianceComponents:
    """Split the variance of scores [variant, fold, seed] (points) by analysis of variance.

    Model: y = variant (fixed) + fold + seed in fold + fold × variant + rest, balanced; components
    are the differences of mean squares that are unbiased for them (Searle, Casella & McCulloch,
    1992; equal to REML where none is negative). Missing runs: only the seeds that are complete
    for all variants and folds are used, and of the variants those that have any complete seed.
    Raises ValueError where fewer than two variants or two folds are complete.
    """
    table = complete_block(np.asarray(scores, dtype=np.float64))
    v, k, s = table.shape
    if v < 2 or k < 2:
        raise ValueError(f"variance needs two variants and two folds without gaps, not {v} and {k}")
    cell, grand = table.mean(axis=2), table.mean()
    by_fold, by_variant = cell.mean(axis=0), cell.mean(axis=1)
    fold_square = v * s * float(((by_fold - grand) ** 2).sum()) / (k - 1)
    residual = cell - by_fold[None] - by_variant[:, None] + grand
    cross_square = s * float((residual**2).sum()) / ((v - 1) * (k - 1))
    if s > 1:
        by_seed = table.mean(axis=0)
        seed_square = v * float(((by_seed - by_fold[:, None]) ** 2).sum()) / (k * (s - 1))
        own = table - cell[:, :, None] - by_seed[None] + by_fold[None, :, None]
        rest = float((own**2).sum()) / ((v - 1) * k * (s - 1))
        raw = {
            "fold": (fold_square - cross_square - seed_square + rest) / (v * s),
            "seed": (seed_square - rest) / v,
            "fold_by_variant": (cross_square - rest) / s,
            "rest": rest,
        }
    else:
        raw = {
            "fold": (fold_square - cross_square) / v,
            "fold_by_variant": cross_square,
        }
    truncated = tuple(name for name, value in raw.items() if value < 0)
    kept = {name: max(0.0, value) for name, value in raw.items()}
    total = sum(kept.values())
    seeds_part = kept.get("rest", float("nan")) / s
    noise = kept["fold_by_variant"] + seeds_part
    removable = seeds_part / noise if noise > 0 else float("nan")
    return VarianceComponents(
        fold=kept["fold"],
        seed=kept.get("seed", float("nan")),
        fold_by_variant=kept["fold_by_variant"],
        rest=kept.get("rest", float("nan")),
        shares={name: value / total if total > 0 else 0.0 for name, value in kept.items()},
        removable=removable,
        truncated=truncated,
        variants=v,
        folds=k,
        seeds=s,
        advice=_advice(removable, s),
    )


def split_differences(variant: npt.ArrayLike, baseline: npt.ArrayLike) -> DifferenceSplit:
    """Split the variance of paired differences; variant, baseline: scores [fold, seed] in points.

    Missing runs (NaN) may leave folds with different numbers of seeds. Raises ValueError where
    fewer than two folds have a seed that both have.
    """
    paired = np.asarray(variant, np.float64) - np.asarray(baseline, np.float64)
    rows = [row[np.isfinite(row)] for row in paired]
    rows = [row for row in rows if row.size]
    if len(rows) < 2:
        raise ValueError("fewer than two folds have results of both variant and baseline")
    sizes = np.array([row.size for row in rows])
    freedom = int((sizes - 1).sum())
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in rows)
    within = squares / freedom if freedom else float("nan")
    means = np.array([row.mean() for row in rows])
    over_folds = float(means.var(ddof=1))
    from_seeds = within * float((1 / sizes).mean()) if freedom else 0.0
    return DifferenceSplit(
        between=max(0.0, over_folds - from_seeds),
        within=within,
        seeds=round(1 / float((1 / sizes).mean())),
        folds=len(rows),
    )


def complete_block(scores: FloatArray) -> FloatArray:
    """Return the part of scores [variant, fold, seed] without gaps: [variant', fold', seed'].

    Drops, in this order, variants and folds without any run, then seeds that still have a gap;
    where no seed is complete, the variants with gaps go instead.
    """
    known = np.isfinite(scores)
    scores = scores[known.any(axis=(1, 2))][:, known.any(axis=(0, 2))]
    known = np.isfinite(scores)
    whole = known.all(axis=(0, 1))
    if whole.any():
        return scores[:, :, whole]
    return scores[known.all(axis=(1, 2))]


def _advice(removable: float, seeds: int) -> str:
    if not np.isfinite(removable):
        if seeds > 1:
            return "There is no scatter to advise on: the variants' differences are constant."
        return "One seed cannot tell luck from folds: run at least a second seed."
    luck = f"the luck of {counted(seeds, 'seed')}"
    share = f"{removable:.0%} of the variance of a difference, pooled over variants, is {luck}"
    if removable >= 0.5:
        return f"{share}: more seeds are the cheapest way to a sharper answer."
    if removable >= 0.2:
        return f"{share}: more seeds help somewhat, more sessions or corpora help more."
    return (
        f"Only {share.lower()}: more seeds hardly help, only more sessions, speakers or corpora do."
    )
