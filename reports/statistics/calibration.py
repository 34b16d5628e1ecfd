"""How far to trust a network's probabilities: calibration, and the temperature that mends it.

- Scores ask which class is named; here it is asked how sure the network says it is.
- Probabilities are the softmax of logits [n, C] (or [..., n, C]); truths [n] are class numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from reports.statistics.arrays import FloatArray, IntArray

BINS = 15  # of equal width, as Guo et al. (2017)
SHARPEST = 100.0  # inverse temperatures are looked for between 1 / this and this


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """ece: expected calibration error, points. brier: mean squared error of the C probabilities,
    summed over classes, 0 … 2. nll: mean negative log-likelihood, nats.
    """

    ece: float
    brier: float
    nll: float


def calibration(logits: npt.ArrayLike, truths: npt.ArrayLike) -> Calibration:
    """Judge logits [n, C] by truths [n].

    ece (Guo et al., 2017): in 15 bins of the named class's probability, the mean difference of
    accuracy and probability, weighted by the bins' sizes. It is too large where n is small: bins
    of few utterances differ by chance. Raises ValueError where n differs or is 0.
    """
    z, truth = _checked(logits, truths)
    probability = special.softmax(z, axis=1)
    rows = np.arange(len(truth))
    sure, right = probability.max(axis=1), (probability.argmax(axis=1) == truth).astype(float)
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(place, weights=right - sure, minlength=BINS)
    hit = np.zeros_like(probability)
    hit[rows, truth] = 1.0
    return Calibration(
        ece=100.0 * float(np.abs(gaps).sum() / len(truth)),
        brier=float(((probability - hit) ** 2).sum(axis=1).mean()),
        nll=float(-special.log_softmax(z, axis=1)[rows, truth].mean()),
    )


def temperature(logits: npt.ArrayLike, truths: npt.ArrayLike) -> float:
    """The T > 0 for which softmax(logits / T) gives truths the greatest likelihood.

    The log-likelihood is concave in 1 / T, so that the maximum is where its slope is zero. Between
    0.01 and 100: an end is returned where every truth has the largest logit, or the smallest.
    Raises ValueError as `calibration`.
    """
    z, truth = _checked(logits, truths)
    own = z[np.arange(len(truth)), truth].mean()
    largest = z.max(axis=1, keepdims=True)

    def slope(sharpness: float) -> float:
        # scipy's softmax to the bit; of so few numbers its own checks take half as long again
        odds = np.exp(sharpness * z - sharpness * largest)
        return float((odds / odds.sum(axis=1, keepdims=True) * z).sum(axis=1).mean() - own)

    low, high = 1 / SHARPEST, SHARPEST
    if slope(high) <= 0:
        return 1 / high
    if slope(low) >= 0:
        return 1 / low
    found: Any = optimize.brentq(slope, low, high, rtol=1e-8)
    return 1 / float(found)


def f1_from(counts: IntArray) -> FloatArray:
    """F1 per class [..., C], a share, of counts [..., C, C] (true by predicted); NaN for a class
    that is neither true nor predicted anywhere.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    total = counts.sum(-1) + counts.sum(-2)
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)


def _checked(logits: npt.ArrayLike, truths: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    z, truth = np.asarray(logits, dtype=np.float64), np.asarray(truths, dtype=np.int64)
    if z.ndim != 2 or z.shape[:1] != truth.shape or not len(truth):
        raise ValueError(f"logits {z.shape} and truths {truth.shape} must be [n, C] and [n], n > 0")
    return z, truth
