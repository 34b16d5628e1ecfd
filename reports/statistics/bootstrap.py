"""Paired bootstrap of UAR that resamples dialogues or speakers whole.

- Utterances of a dialogue share speakers, topic and channel: resampling single utterances
  would pretend to more evidence than there is.
- Speakers are the honest unit for "would this hold for other people", but there are ten of them;
  dialogues (151 in IEMOCAP) are the finer unit. The report shows both.
- Percentiles of few units are too narrow; Hesterberg's (2015) widening costs one line.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """A paired bootstrap of the difference of pooled UAR, in points.

    difference: of the data as they are. low, high: expanded percentile interval at `confidence`.
    standard_error: standard deviation over resamples. units: how many were resampled.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    confidence: float
    units: int
    resamples: int


def paired_bootstrap(
    variant: npt.ArrayLike,
    baseline: npt.ArrayLike,
    truths: npt.ArrayLike,
    units: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Bootstrap:
    """Bootstrap the difference of UAR, recalls pooled over folds, resampling whole units.

    variant, baseline: [U], share of seeds that were right on an utterance, NaN where missing.
    truths: [U] class numbers. units: [U], the dialogue's or speaker's number or name.
    Interval: percentiles at Φ(√(n/(n − 1)) · t quantile), n units (Hesterberg, The American
    Statistician 69, 2015): plain percentiles ignore that a spread of few units is itself
    uncertain. The networks are taken as they were trained: nothing here speaks about training
    again. A class that a resample misses is left out of its UAR.
    Raises ValueError for fewer than two units.
    """
    first, second = np.asarray(variant, np.float64), np.asarray(baseline, np.float64)
    known = np.isfinite(first) & np.isfinite(second)
    _, unit = np.unique(np.asarray(units)[known], return_inverse=True)
    truth = np.asarray(truths, np.int64)[known]
    n = int(unit.max(initial=-1)) + 1
    if n < 2:
        raise ValueError(f"a bootstrap needs at least two units to resample, not {n}")
    classes = int(truth.max()) + 1
    cell = unit * classes + truth
    gains = (first - second)[known]
    count = np.bincount(cell, minlength=n * classes).reshape(n, classes).astype(np.float64)
    gain = np.bincount(cell, weights=gains, minlength=n * classes).reshape(n, classes)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    drawn = mean_recall_difference(weights @ gain, weights @ count)
    low, high = expanded_percentiles(drawn, n, confidence=confidence)
    return Bootstrap(
        difference=float(mean_recall_difference(gain.sum(axis=0), count.sum(axis=0))),
        standard_error=float(drawn.std(ddof=1)),
        low=low,
        high=high,
        confidence=confidence,
        units=n,
        resamples=resamples,
    )


def mean_recall_difference(gain: FloatArray, count: FloatArray) -> FloatArray:
    """Difference of UAR in points [...] from hits gained and utterances per class [..., C]."""
    present = count > 0
    recall = np.where(present, gain, 0.0) / np.where(present, count, 1.0)
    return np.asarray(100.0 * recall.sum(axis=-1) / present.sum(axis=-1), dtype=np.float64)


def expanded_percentiles(
    drawn: FloatArray, units: int, *, confidence: float
) -> tuple[float, float]:
    """The ends of Hesterberg's expanded percentile interval of bootstrap values [resample]."""
    quantile = stats.t.ppf(0.5 - confidence / 2, units - 1) * np.sqrt(units / (units - 1))
    tail = float(stats.norm.cdf(quantile))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)
