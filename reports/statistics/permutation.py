"""Sign-flip permutation over speakers, for all variants at once.

- A speaker's utterances belong together, so speakers are what is exchanged, not utterances.
- All variants share the baseline and the speakers: one flip flips them all, which keeps their
  dependence, and the largest statistic under flips controls the family-wise error (max-T).
- Ten speakers allow 1,024 flips: small enough to enumerate. Five folds allow 32, and then no
  two-sided p lies below 0.0625.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray, IntArray
from reports.statistics.means import POINTS

ENUMERATED = 16  # blocks: 65,536 flips take about as long as the sampling below
SAMPLED = 20_000


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """Sign-flip tests of several variants against their baselines; arrays are [variant].

    difference: sum of the contributions, in points. p: of each variant by itself, two-sided.
    adjusted: family-wise (max-T). smallest_p: the least p these blocks allow, whatever the
    scores; reachable: smallest_p ≤ level. Where it is False, p must not be read as a test.
    exact: all flips were enumerated; otherwise `flips` were drawn.
    """

    difference: FloatArray
    p: FloatArray
    adjusted: FloatArray
    blocks: int
    flips: int
    exact: bool
    level: float
    smallest_p: float
    reachable: bool


def block_contributions(
    variant: npt.ArrayLike,
    baseline: npt.ArrayLike,
    truths: npt.ArrayLike,
    folds: npt.ArrayLike,
    blocks: npt.ArrayLike,
) -> FloatArray:
    """Return what each block (speaker) adds to the difference of fold-mean UAR, in points.

    variant, baseline: [U], share of seeds that were right on an utterance, NaN where missing.
    truths, folds, blocks: [U] integers; blocks are numbered 0 … n − 1. Returns [n].
    UAR is a weighted sum over utterances (weight 1 / (folds · classes · utterances of that class
    in that fold)), so the contributions add up to the difference exactly.
    """
    difference = np.asarray(variant, np.float64) - np.asarray(baseline, np.float64)
    truth, fold = np.asarray(truths, np.int64), np.asarray(folds, np.int64)
    block: IntArray = np.asarray(blocks, np.int64)
    known = np.isfinite(difference)
    cells = fold * (int(truth.max(initial=0)) + 1) + truth
    _, cell, count = np.unique(cells[known], return_inverse=True, return_counts=True)
    fold_of, place = np.unique(fold[known], return_inverse=True)
    classes = np.zeros(fold_of.size)
    np.add.at(classes, place, 1.0 / count[cell])  # Σ over utterances of 1 / n of its class
    weight = POINTS / (count[cell] * np.rint(classes)[place] * fold_of.size)
    size = int(block.max(initial=-1)) + 1
    sums = np.bincount(block[known], weights=weight * difference[known], minlength=size)
    return np.asarray(sums, dtype=np.float64)


def sign_flip_test(
    contributions: npt.ArrayLike, *, level: float = 0.05, rng: np.random.Generator
) -> SignFlip:
    """Sign-flip test with single-step max-T (Westfall & Young, 1993; Nichols & Holmes, 2002).

    contributions: [variant, block], in points, each row adding up to that variant's difference.
    Null hypothesis: within a block, the variant's and the baseline's predictions may be
    exchanged, independently from block to block. That holds for networks as they were trained;
    it does not cover that training again could favour a whole session, which both its speakers
    would share (docs/statistics.md has the rates with and without that).
    Statistic: |Σ d| / √Σ d². rng is used only above 16 blocks.
    Raises ValueError unless contributions are finite and [variant, block].
    """
    table = np.asarray(contributions, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ValueError(f"contributions must be finite and [variant, block], not {table.shape}")
    blocks = table.shape[1]
    exact = blocks <= ENUMERATED
    signs = sign_table(blocks) if exact else rng.choice((-1.0, 1.0), (SAMPLED, blocks))
    norm = np.sqrt((table**2).sum(axis=1))
    norm[norm == 0] = np.inf  # a variant that never differs has statistic 0 and p = 1
    observed = np.abs(table.sum(axis=1)) / norm
    flipped = np.abs(signs @ table.T) / norm
    # flips that tie with the observed one count against us, rounding included
    bar = observed * (1 - 1e-10)
    own = (flipped >= bar).sum(axis=0)
    largest = (flipped.max(axis=1)[:, None] >= bar).sum(axis=0)
    # drawn flips: the observed labelling is one of them (Phipson & Smyth, 2010)
    extra, total = (0, len(signs)) if exact else (1, len(signs) + 1)
    smallest = max(2.0 ** (1 - blocks), 0.0 if exact else 1 / total)
    return SignFlip(
        difference=table.sum(axis=1),
        p=(own + extra) / total,
        adjusted=(largest + extra) / total,
        blocks=blocks,
        flips=len(signs),
        exact=exact,
        level=level,
        smallest_p=smallest,
        reachable=smallest <= level,
    )


def flip_interval(
    contributions: npt.ArrayLike,
    shares: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The differences that a sign-flip test of one comparison does not reject: low, high.

    contributions: [block], adding up to the difference; shares: [block], what each would contribute
    to a difference of 1, adding up to 1. A difference δ is tested by flipping contributions less
    δ · shares. A pattern of flips is as extreme as the data exactly for those δ that lie between
    the weighted means of what it flips and of what it keeps, so that the ends are order statistics:
    no search, and no assumption but symmetry in each block, however unequal blocks are.
    Infinite where so few blocks cannot reach the level. rng is used only above 16 blocks.
    """
    given, weight = np.asarray(contributions, np.float64), np.asarray(shares, np.float64)
    real = weight > 0
    given, weight = given[real], weight[real]
    blocks = given.size
    exact = blocks <= ENUMERATED
    signs = sign_table(blocks) if exact else rng.choice((-1.0, 1.0), (SAMPLED, blocks))
    if not exact:
        signs = np.concatenate([np.ones((1, blocks)), signs])  # the observed labelling is one
    sums = np.stack([given, weight], axis=1)
    kept = (1 + signs) / 2 @ sums
    flipped = sums.sum(axis=0) - kept
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.stack([part[:, 0] / part[:, 1] for part in (kept, flipped)])
    one_side = (np.minimum(kept[:, 1], flipped[:, 1]) <= 1e-12)[None]
    low = np.where(one_side, -np.inf, means).min(axis=0)
    high = np.where(one_side, np.inf, means).max(axis=0)
    place = int(np.floor((1 - confidence) * len(signs) + 1e-9))
    return float(np.sort(low)[place]), float(-np.sort(-high)[place])


def sign_table(blocks: int) -> FloatArray:
    """All sign patterns [2^blocks, blocks] of ±1, the unflipped one first."""
    codes = np.arange(2**blocks)[:, None] >> np.arange(blocks)[None, :]
    return np.where(codes & 1, -1.0, 1.0)
