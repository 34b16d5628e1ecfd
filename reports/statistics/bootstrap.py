"""Paired bootstrap of UAR that resamples dialogues or speakers whole.

- Utterances of a dialogue share speakers, topic and channel: resampling single utterances
  would pretend to more evidence than there is.
- Speakers are the honest unit for "would this hold for other people", but there are ten of them;
  dialogues (151 in IEMOCAP) are the finer unit, needed where a subset of the test utterances holds
  few speakers. Differences of whole variants resample speakers, those of subsets dialogues.
- Percentiles of ten units are too narrow, even Hesterberg's widened ones (7 % instead of 5 % of
  simulated intervals missed the truth); a t interval on the bootstrap's standard error is not.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray
from reports.statistics.means import POINTS

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """A paired bootstrap of the difference of pooled UAR, in points.

    difference: of the data as they are. standard_error: standard deviation over resamples, times
    √(n / (n − 1)). low, high: difference ± t · standard_error at `confidence`. units: n, how many
    were resampled.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    confidence: float
    units: int
    resamples: int

    @property
    def p(self) -> float:
        """Two-sided p that the difference is zero, below α where the 1 − α interval excludes it."""
        if self.standard_error == 0:
            return float(self.difference == 0)
        t = abs(self.difference) / self.standard_error
        return float(2 * stats.t.sf(t, self.units - 1))


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
    Interval: Student's t with n − 1 degrees of freedom on the bootstrap's standard error, which is
    scaled by √(n / (n − 1)) for n units (Hesterberg, The American Statistician 69, 2015), since a
    spread of few units is itself uncertain and its resamples are too narrow. It is symmetric, as
    paired differences of UAR nearly are. A class that a resample misses is left out of its UAR.
    The networks are taken as they were trained: nothing here speaks about training again.
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
    difference = float(mean_recall_difference(gain.sum(axis=0), count.sum(axis=0)))
    error = float(drawn.std(ddof=1) * np.sqrt(n / (n - 1)))
    reach = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
    return Bootstrap(
        difference=difference,
        standard_error=error,
        low=difference - reach,
        high=difference + reach,
        confidence=confidence,
        units=n,
        resamples=resamples,
    )


def mean_recall_difference(gain: FloatArray, count: FloatArray) -> FloatArray:
    """Difference of UAR in points [...] from hits gained and utterances per class [..., C]."""
    present = count > 0
    recall = np.where(present, gain, 0.0) / np.where(present, count, 1.0)
    return np.asarray(POINTS * recall.sum(axis=-1) / present.sum(axis=-1), dtype=np.float64)
