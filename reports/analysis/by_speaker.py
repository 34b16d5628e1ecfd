"""What speakers say of a comparison: sign flips and their interval, networks as they were trained.

- Speakers are what is exchanged, whole: their utterances belong together.
- It stands beside the verdict and never turns it: whether training again would give the same
  difference only folds and seeds can answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.score_table import Predictions
from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.means import POINTS, mean_of_known
from reports.statistics.permutation import block_contributions, flip_interval, sign_flip_test
from studies.seeds import Metric


@dataclass(frozen=True, kw_only=True)
class FlipResult:
    """A comparison's own line of a sign-flip test; see `statistics.permutation.SignFlip`.

    low, high: the differences that the test of this comparison alone does not reject, infinite
    where it cannot reject any. p is of this comparison alone, adjusted family-wise (max-T). blocks:
    those in which variant and baseline differ at all. Where reachable is False these blocks cannot
    reach `level` whatever the scores are: print smallest_p, not p.
    """

    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    blocks: int
    smallest_p: float
    reachable: bool


def speaker_contributions(
    predictions: Predictions,
    pairs: Sequence[tuple[str, str]],
    selection: str,
    *,
    metric: Metric = "uar",
    known: BoolArray | None = None,
) -> list[FloatArray]:
    """What each speaker adds to each pair's difference of fold means: [pair] of [speaker].

    known [pair, seed]: the seeds that count, by default all; of these, those that both have.
    """
    _, speaker = np.unique(predictions.speakers, return_inverse=True)
    truths = _classes(predictions, metric)
    rows = []
    for place, pair in enumerate(pairs):
        seeds = None if known is None else known[place]
        first, second = paired_shares(predictions, pair, selection, seeds)
        rows.append(block_contributions(first, second, truths, predictions.fold, speaker))
    return rows


def speaker_shares(
    predictions: Predictions,
    pairs: Sequence[tuple[str, str]],
    selection: str,
    *,
    metric: Metric = "uar",
) -> list[FloatArray]:
    """What each speaker would add to a difference of one point that all utterances share: [pair] of
    [speaker], adding up to 1.
    """
    _, speaker = np.unique(predictions.speakers, return_inverse=True)
    truths = _classes(predictions, metric)
    rows = []
    for pair in pairs:
        first, second = paired_shares(predictions, pair, selection)
        ones = np.where(np.isfinite(first - second), 1.0, np.nan)
        rows.append(block_contributions(ones, 0 * ones, truths, predictions.fold, speaker) / POINTS)
    return rows


def fold_contributions(
    folds: Sequence[str], known: Sequence[str], differences: FloatArray
) -> FloatArray:
    """The differences of the known folds as contributions to their mean [fold], 0 for others."""
    found = dict(zip(known, differences, strict=True))
    return np.array([found.get(name, 0.0) / max(len(found), 1) for name in folds])


def flips(
    contributions: Sequence[FloatArray],
    shares: Sequence[FloatArray],
    *,
    level: float,
    confidence: float,
    rng: np.random.Generator,
    tested: bool = True,
) -> list[FlipResult | None]:
    """Sign-flip tests of contributions [pair] of [block]; None for a pair that differs nowhere.

    shares: [pair] of [block], see `permutation.flip_interval`. tested: p is due, else it is NaN.
    """
    if not contributions:
        return []
    test = sign_flip_test(np.stack(contributions), level=level, rng=rng)
    made: list[FlipResult | None] = []
    for i, row in enumerate(contributions):
        blocks = int(np.count_nonzero(row))  # flipping what does not differ changes nothing
        if not blocks:
            made.append(None)
            continue
        smallest = max(test.smallest_p, 2.0 ** (1 - blocks))
        low, high = flip_interval(row, shares[i], confidence=confidence, rng=rng)
        made.append(
            FlipResult(
                difference=float(test.difference[i]),
                low=low,
                high=high,
                p=float(test.p[i]) if tested else float("nan"),
                adjusted=float(test.adjusted[i]) if tested else float("nan"),
                blocks=blocks,
                smallest_p=smallest,
                reachable=smallest <= level,
            )
        )
    return made


def _classes(predictions: Predictions, metric: Metric) -> IntArray:
    """The classes over which recall is averaged [U]: accuracy is the recall of a single one."""
    return predictions.truths if metric == "uar" else np.zeros_like(predictions.truths)


def paired_shares(
    predictions: Predictions,
    pair: tuple[str, str],
    selection: str,
    seeds: BoolArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Share of seeds that were right on each utterance [U], of both variants of a pair.

    A seed counts where both were run with it; NaN without any. seeds [seed]: those that may count.
    """
    first, second = (predictions.correct(v, selection=selection) for v in pair)
    both = np.isfinite(first) & np.isfinite(second)
    if seeds is not None:
        both &= seeds[:, None]
    first, second = (
        mean_of_known(np.where(both, right, np.nan), axis=0) for right in (first, second)
    )
    return first, second
