"""Moderated t-test: many comparisons with few folds share what their scatter looks like.

- Five folds leave four degrees of freedom to each comparison, and Student's t with four is costly.
  Eighteen comparisons together know much better what a variance looks like: each is drawn towards
  the family's, as limma does for genes (Smyth, 2004; robust: Phipson et al., 2016).
- Comparisons share a baseline, and the baseline's own scatter is in every variance. The family
  therefore knows less than it seems: its degrees of freedom are those of equally correlated
  variances, at most 16 with five folds, not (k - 1) times the number of comparisons.
- A variant that scatters more than the rest must not borrow their precision: what it is lent falls
  with the probability of a scatter like its own or more, about the course that all comparisons
  with its baseline have in common (`shared_noise`).
- Arrays may have leading axes: the validation judges thousands of studies in one call.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import interpolate, special, stats

from reports.statistics.arrays import FloatArray, IntArray
from reports.statistics.corrected_t import correction
from reports.statistics.shared_noise import Scatter, SharedNoise, baseline_variance, split_noise

FEWEST, PER_BASELINE = 3, 2  # comparisons that know enough about their scatter: in all, and each
FEWEST_FOLDS = 4  # with three, families whose baseline scatters three times as much err in 6 %
TAILS = (0.05, 0.10)  # of log variances, drawn in before the prior is fitted; limma's defaults
# what is lent is this share of what the family knows, times the cube root of the tail probability;
# in families under nine, which know their own prior badly, less for each comparison that lacks.
# Chosen by simulation as what keeps 5 % in the hardest worlds found (`family_worlds.NOISY`). At the
# same error a root finds more than the probability itself: it lends to more of the calm ones
LENT, LENT_LESS, ENOUGH = 0.8, 0.05, 9
HALF = 0.5  # the baseline's share of a difference whose variant scatters as much: least assumed


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What a family's variances look like: scale · (χ²/d)⁻¹ with d degrees of freedom.

    scale, degrees: [...]; degrees is infinite where the variances differ no more than chance.
    own_degrees: [..., m], limma's degrees for each variance by itself, fewer for outliers
    (Phipson et al., 2016, section 3.4); without `robust` the same for all.
    """

    scale: FloatArray
    degrees: FloatArray
    own_degrees: FloatArray


@dataclass(frozen=True, kw_only=True)
class Moderated:
    """Moderated t-tests of a family; arrays [..., m], differences in points.

    spread: the moderated standard deviation over folds; standard_error contains the correction
    for shared training data. degrees: of each test, own and borrowed. prior_spread [...]: what
    the family's standard deviations are drawn towards; prior_degrees [...]: the most weight that
    one is given. p: two-sided, of each comparison alone. share: of each one's variance that the
    baseline accounts for, as far as the error is the family's and not the comparison's own.
    scatter: the variants' own means and their baselines', without each other.
    """

    mean: FloatArray
    spread: FloatArray
    standard_error: FloatArray
    degrees: FloatArray
    p: FloatArray
    prior_spread: FloatArray
    prior_degrees: FloatArray
    share: FloatArray
    scatter: Scatter


def moderated_t_tests(
    differences: npt.ArrayLike, test_train_ratio: npt.ArrayLike, baselines: npt.ArrayLike
) -> Moderated:
    """Test every comparison of a family with a variance drawn towards the family's.

    differences: [..., m, fold], in points, seeds averaged, no gaps. test_train_ratio: [fold].
    baselines: [m], a number for the baseline that each comparison has. The variance of a mean is
    corrected as in `corrected_t.corrected_t_test`.
    Assumes what that test assumes, and that scatter differs between comparisons no more wildly
    than the family shows, for which there have to be `many` (docs/statistics.md has the rates).
    Raises ValueError for fewer than two folds or comparisons, or missing values.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim < 2 or min(table.shape[-2:]) < 2 or not np.isfinite(table).all():
        raise ValueError(f"differences must be finite and [m ≥ 2, fold ≥ 2], not {table.shape}")
    folds = table.shape[-1]
    factor = correction(folds, test_train_ratio)
    mean, own = table.mean(axis=-1), table.var(axis=-1, ddof=1)
    freedom = folds - 1
    noise = split_noise(table, baselines)
    prior, rest = (fit_prior(v, freedom, robust=True) for v in (own, noise.residual))
    scale = prior.scale[..., None]
    correlation = np.clip((noise.shared / own.mean(axis=-1, keepdims=True)).mean(axis=-1), HALF, 1)
    known = shared_degrees(freedom, baselines, correlation) - freedom
    beside = table.shape[-2] / np.unique(np.asarray(baselines)).size
    lent = LENT - LENT_LESS * max(0.0, ENOUGH - beside)
    most = lent * np.minimum(np.minimum(prior.degrees, rest.degrees), known)
    alike = upper_tail(noise.residual / rest.scale[..., None], freedom, rest.degrees[..., None])
    scatter = _own_scatter(table, noise, rest, lent * np.cbrt(alike), baselines)
    if np.unique(np.asarray(baselines)).size > 1:
        # baselines may scatter unalike, which residuals do not show
        whole = upper_tail(own / scale, freedom, prior.degrees[..., None])
        alike = np.minimum(alike, whole)
    borrowed = np.cbrt(alike) * most[..., None]
    variance = (freedom * own + borrowed * scale) / (freedom + borrowed)
    error = np.sqrt(variance * factor)
    degrees = freedom + borrowed
    return Moderated(
        mean=mean,
        spread=np.sqrt(variance),
        standard_error=error,
        degrees=degrees,
        p=2.0 * stats.t.sf(np.abs(mean) / error, degrees),
        prior_spread=np.sqrt(prior.scale),
        prior_degrees=most,
        # a comparison that is lent little errs by its own estimate, not with the others
        share=np.minimum(HALF, noise.shared / variance)
        * np.sqrt(np.minimum(1.0, borrowed / (freedom / HALF**2 - freedom))),
        scatter=scatter,
    )


def _own_scatter(
    differences: FloatArray,
    noise: SharedNoise,
    rest: Prior,
    trust: FloatArray,
    baselines: npt.ArrayLike,
) -> Scatter:
    """Variances over folds of variants and baselines apart.

    Residuals are independent but for the course, so that a family knows all their degrees of
    freedom; trust [..., m]: the share of these that each variance is lent.
    """
    group, count = np.unique(np.asarray(baselines), return_inverse=True, return_counts=True)[1:]
    freedom = differences.shape[-1] - 1
    known = max(0, group.size - count.size - 1) * freedom
    lent = trust * np.minimum(rest.degrees, known)[..., None]
    variance = (freedom * noise.residual + lent * rest.scale[..., None]) / (freedom + lent)
    size = count[group]
    # a residual lacks the part of its own variance that is in the course
    whole = variance * size / np.maximum(size - 1, 1)
    base = baseline_variance(differences, baselines, whole)
    return Scatter(whole, freedom + lent, base)


def many(baselines: npt.ArrayLike, folds: int) -> bool:
    """Whether comparisons with these baselines [m] are enough to learn their scatter from."""
    given = np.asarray(baselines)
    enough = given.size >= max(FEWEST, PER_BASELINE * np.unique(given).size)
    return enough and folds >= FEWEST_FOLDS


def shared_degrees(
    freedom: int, baselines: npt.ArrayLike, correlation: npt.ArrayLike = HALF
) -> FloatArray:
    """Degrees of freedom of the mean variance of comparisons of which some share a baseline.

    freedom: of each variance; baselines: [m]. Variances of normal differences that correlate by r
    correlate by r², and a mean of m of them has freedom · m² / Σ r² degrees (Satterthwaite, 1946).
    correlation [...]: r where a baseline is shared; equal scatter everywhere makes it 1/2.
    """
    group: IntArray = np.unique(np.asarray(baselines), return_counts=True)[1]
    m = int(group.sum())
    pairs = (group * (group - 1)).sum()
    return np.asarray(freedom * m**2 / (m + np.asarray(correlation) ** 2 * pairs))


def fit_prior(variances: npt.ArrayLike, freedom: int, *, robust: bool) -> Prior:
    """Fit a scaled F-distribution to variances [..., m] of `freedom` degrees each.

    By moments of their logarithms (Smyth, 2004, section 6.2), which are pulled in at both ends
    first where `robust` and there are ten or more (Phipson et al., 2016, section 3). Equals
    limma's fitFDist and fitFDistRobustly. Variances of 0 are raised to 1e-5 (robust: 1e-12) of
    the median. Raises ValueError for fewer than two variances or a median of 0.
    """
    x = np.asarray(variances, dtype=np.float64)
    if x.shape[-1] < 2:
        raise ValueError("a prior needs at least two variances")
    median = np.median(x, axis=-1, keepdims=True)
    if not (median > 0).all():
        raise ValueError("more than half of the variances are zero")
    plain = _fit_by_moments(np.maximum(x, 1e-5 * median), freedom)
    if not robust or x.shape[-1] == 2 or max(TAILS) < 1 / x.shape[-1]:
        return plain
    return _fit_robustly(np.maximum(x, 1e-12 * median), freedom, plain)


def squeeze(variances: npt.ArrayLike, freedom: int, prior: Prior) -> FloatArray:
    """Posterior variances [..., m]: means of variance and scale weighted by degrees of freedom."""
    x, scale = np.asarray(variances, dtype=np.float64), prior.scale[..., None]
    finite = np.isfinite(prior.own_degrees)
    weight = np.where(finite, prior.own_degrees, 1.0)
    return np.where(finite, (freedom * x + weight * scale) / (freedom + weight), scale)


def _fit_by_moments(x: FloatArray, freedom: int) -> Prior:
    half = freedom / 2
    e = np.log(x) - special.digamma(half) + np.log(half)
    beyond = e.var(axis=-1, ddof=1) - special.polygamma(1, half)
    differs = beyond > 0
    degrees = 2.0 * _inverse_trigamma(np.where(differs, beyond, 1.0))
    scale = np.exp(e.mean(axis=-1) + special.digamma(degrees / 2) - np.log(degrees / 2))
    degrees = np.where(differs, degrees, np.inf)
    return Prior(
        scale=np.where(differs, scale, x.mean(axis=-1)),
        degrees=degrees,
        own_degrees=np.broadcast_to(degrees[..., None], x.shape),
    )


def _inverse_trigamma(value: FloatArray) -> FloatArray:
    """Solve trigamma(y) = value: Newton on 1/trigamma, which is nearly linear (Smyth, 2004)."""
    y = 0.5 + 1.0 / value
    for _ in range(50):
        trigamma = special.polygamma(1, y)
        step = trigamma * (1.0 - trigamma / value) / special.polygamma(2, y)
        y = y + step
        if (np.abs(step) < 1e-10 * y).all():
            break
    return np.asarray(y, dtype=np.float64)


def _fit_robustly(x: FloatArray, freedom: int, plain: Prior) -> Prior:
    """The moments of winsorised log variances, matched to those of a winsorised F."""
    z = np.log(x)
    middle = stats.trim_mean(z, TAILS[1], axis=-1)
    apart = z - middle[..., None]
    ends = np.quantile(apart, (TAILS[0], 1 - TAILS[1]), axis=-1)
    drawn = np.clip(apart, ends[0][..., None], ends[1][..., None])
    spread = drawn.var(axis=-1, ddof=1)
    table = _winsorised(freedom)
    endless = spread <= table.least
    link = np.where(endless, 1.0, table.link_of(np.clip(spread, table.least, table.most)))
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = np.maximum(link / (1.0 - link), plain.degrees)
        moved = table.mean_of(np.where(np.isfinite(degrees), degrees / (1.0 + degrees), 1.0))
    scale = np.exp(middle + drawn.mean(axis=-1) - moved)
    # where only the pulled-in values differ, limma keeps the plain fit
    kept = ~endless & np.isinf(plain.degrees)
    own = _own_degrees(x / scale[..., None], freedom, degrees[..., None])
    return Prior(
        scale=np.where(kept, plain.scale, scale),
        degrees=degrees,
        own_degrees=np.where(kept[..., None], np.inf, own),
    )


def _own_degrees(ratio: FloatArray, freedom: int, degrees: FloatArray) -> FloatArray:
    """Prior degrees of each variance as limma has them: fewer for what looks like an outlier above.

    ratio: variance ÷ scale [..., m]; degrees [..., 1]. How probable it is that one is no outlier
    is its tail under the fitted F ÷ its tail among the family. Smaller variances never get more.
    """
    m = ratio.shape[-1]
    endless = np.isinf(degrees)
    finite = np.where(endless, 1.0, degrees)
    with np.errstate(divide="ignore"):
        log_tail = np.log(upper_tail(ratio, freedom, degrees))
    rank = stats.rankdata(ratio, axis=-1)
    no_outlier = np.exp(np.minimum(0.0, log_tail - np.log((m - rank + 0.5) / m)))
    order = np.argsort(log_tail, axis=-1, kind="stable")
    # where all variances look alike but for outliers, these keep a share of the pooled degrees
    pooled = np.where(no_outlier < 1, no_outlier * m * freedom, np.inf)
    of_alike = np.maximum.accumulate(np.take_along_axis(pooled, order, -1), axis=-1)
    # elsewhere they get what makes the largest the median of its own distribution
    least = log_tail.min(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        for_outlier = np.log(0.5) / least * finite
        again = np.log(upper_tail(ratio.max(axis=-1, keepdims=True), freedom, for_outlier))
        for_outlier = np.where(np.isinf(least), 0.0, np.log(0.5) / again * for_outlier)
    mixed = no_outlier * finite + (1.0 - no_outlier) * for_outlier
    mixed = np.where((no_outlier < 1).any(axis=-1, keepdims=True), mixed, finite)
    mixed = np.take_along_axis(mixed, order, -1)
    running = np.cumsum(mixed, axis=-1) / np.arange(1, m + 1)
    lowest = running.argmin(axis=-1)[..., None]
    level = np.take_along_axis(running, lowest, -1)
    mixed = np.where(np.arange(m) <= lowest, level, mixed)
    mixed = np.maximum.accumulate(mixed, axis=-1)
    found = np.empty_like(ratio)
    np.put_along_axis(found, order, np.where(endless, of_alike, mixed), -1)
    return found


def upper_tail(ratio: FloatArray, freedom: int, degrees: FloatArray) -> FloatArray:
    """P(F ≥ ratio) with `freedom` and `degrees`, which may be infinite; both arrays broadcast."""
    endless = np.isinf(degrees)
    finite = special.fdtrc(freedom, np.where(endless, 1.0, degrees), ratio)
    limit = special.chdtrc(freedom, freedom * ratio)
    return np.asarray(np.where(endless, limit, finite), dtype=np.float64)


@dataclass(frozen=True)
class _Winsorised:
    """Mean and variance of winsorised log F; `link` is degrees / (1 + degrees), 1 for infinite.

    link_of: of a variance; mean_of: of a link. least, most: the variances for
    infinite degrees and for a quarter of one.
    """

    link_of: interpolate.CubicSpline
    mean_of: interpolate.CubicSpline
    least: float
    most: float


@cache
def _winsorised(freedom: int) -> _Winsorised:
    """Splines through moments at 1,500 links: they agree with limma's root finding to 1e-7."""
    fine = 1.0 - np.logspace(0, -7, 1000)[1:]
    links = np.unique(np.concatenate([np.linspace(0.2, 0.99, 500), fine[fine > 0.2], [1.0]]))
    with np.errstate(divide="ignore"):
        degrees = np.where(links < 1, links / (1.0 - links), 1e10)[:, None]
    ends = np.concatenate(
        [stats.f.ppf(TAILS[0], freedom, degrees), stats.f.isf(TAILS[1], freedom, degrees)], axis=1
    )
    node, weight = np.polynomial.legendre.leggauss(128)
    ends = ends / (1.0 + ends)
    width = ends[:, 1:] - ends[:, :1]
    nodes = ends[:, :1] + width * (node + 1) / 2
    f = nodes / (1.0 - nodes)
    density = stats.f.pdf(f, freedom, degrees) / (1.0 - nodes) ** 2 * width * weight / 2
    logs, tails = np.log(f), np.log(ends / (1.0 - ends))
    mean = (density * logs).sum(axis=1) + tails @ TAILS
    variance = (density * (logs - mean[:, None]) ** 2).sum(axis=1)
    variance += (tails - mean[:, None]) ** 2 @ TAILS
    rising, back = variance[::-1], links[::-1]  # the variance falls as the degrees grow
    # near infinity it falls by less than its rounding: what does not rise is left out
    kept = np.r_[True, rising[1:] > np.maximum.accumulate(rising)[:-1]]
    return _Winsorised(
        link_of=interpolate.CubicSpline(rising[kept], back[kept]),
        mean_of=interpolate.CubicSpline(links, mean),
        least=float(variance[-1]),
        most=float(variance[0]),
    )
