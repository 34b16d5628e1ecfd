"""Corrected resampled t-test: the test the report leads with.

- Cross-validation trains overlapping sets, so folds are not independent and s²/k understates
  the variance of their mean; five folds times five seeds are not 25 observations either.
- Each fold brings its own test/train ratio: IEMOCAP's sessions differ in size, and the dev
  session is not trained on, so 1/(k − 1) would be wrong.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special  # what scipy.stats.t calls, without checks that cost 20 times as much

from reports.statistics.arrays import BoolArray, FloatArray, vector
from reports.statistics.means import seed_means


@dataclass(frozen=True, kw_only=True)
class TTest:
    """A corrected t-test of a mean paired difference; everything but `statistic`, `p` in points.

    `low`, `high` bound the two-sided interval at `confidence`; `spread` is the sample standard
    deviation over folds; `standard_error` contains the correction.
    """

    mean: float
    spread: float
    standard_error: float
    degrees_of_freedom: float
    statistic: float
    p: float
    low: float
    high: float
    confidence: float
    folds: int


def correction(folds: int, test_train_ratio: npt.ArrayLike) -> float:
    """Return what s² is multiplied by to give the variance of the mean over folds.

    1/k + mean(n_test / n_train): Nadeau & Bengio (2003), section 3, with the ratio averaged
    where folds differ in size. Raises ValueError unless there is one positive ratio per fold.
    """
    ratio = vector(test_train_ratio, "test_train_ratio")
    if ratio.size != folds:
        raise ValueError(f"test_train_ratio has {ratio.size} values for {folds} folds")
    if (ratio <= 0).any():
        raise ValueError("test_train_ratio must be positive: n_test / n_train of each fold")
    return float(1 / folds + ratio.mean())


def corrected_t_test(
    differences: npt.ArrayLike, test_train_ratio: npt.ArrayLike, *, confidence: float = 0.95
) -> TTest:
    """Corrected resampled t-test (Nadeau & Bengio, 2003) of the mean paired difference over folds.

    differences: [fold], in points, seeds already averaged. test_train_ratio: [fold],
    n_test / n_train. Folds share training data, so the variance of the mean is
    (1/k + mean ratio) s², not s²/k; k − 1 degrees of freedom, two-sided.

    Assumes differences that are roughly normal over folds and correlated between folds by
    n_test / (n_test + n_train). It is too careful where they are correlated less and too
    trusting where more (docs/statistics.md has the measured rates). Where all differences are
    equal, p is 1 if they are zero and 0 otherwise.
    Raises ValueError for fewer than two folds, missing values or ratios that do not fit.
    """
    difference = vector(differences, "differences", least=2)
    folds = difference.size
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    # identical differences leave rounding behind, which would look like overwhelming evidence
    if spread <= 1e-12 * max(1.0, float(np.abs(difference).max())):
        spread = 0.0
    error = spread * correction(folds, test_train_ratio) ** 0.5
    return t_test_of(mean, spread, error, folds - 1, folds=folds, confidence=confidence)


def t_test_of(
    mean: float,
    spread: float,
    standard_error: float,
    degrees_of_freedom: float,
    *,
    folds: int,
    confidence: float = 0.95,
) -> TTest:
    """The two-sided t-test of a mean whose standard error and degrees of freedom are known."""
    if standard_error > 0:
        statistic = mean / standard_error
    else:
        statistic = 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    reach = float(special.stdtrit(degrees_of_freedom, 0.5 + confidence / 2)) * standard_error
    return TTest(
        mean=mean,
        spread=spread,
        standard_error=standard_error,
        degrees_of_freedom=degrees_of_freedom,
        statistic=statistic,
        p=float(2 * special.stdtr(degrees_of_freedom, -abs(statistic))),
        low=mean - reach,
        high=mean + reach,
        confidence=confidence,
        folds=folds,
    )


def seed_averaged_differences(
    variant: npt.ArrayLike, baseline: npt.ArrayLike
) -> tuple[FloatArray, BoolArray]:
    """Return (differences [fold], usable [fold]) of two score arrays [fold, seed] in points.

    Seeds are averaged before anything else, over the seeds that both have in that fold, so that
    an unfinished study compares like with like; a fold without a common seed is NaN and not
    usable. Raises ValueError where the shapes differ.
    """
    first, second = np.asarray(variant, np.float64), np.asarray(baseline, np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"scores must both be [fold, seed], not {first.shape} and {second.shape}")
    paired = first - second
    means = seed_means(paired)
    usable: BoolArray = np.isfinite(means)
    return means, usable
