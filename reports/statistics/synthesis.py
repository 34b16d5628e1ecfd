"""Random-effects synthesis: one difference over several corpora, and what a new corpus would give.

- Corpora are few and differ: each has a true difference of its own around a common mean. What is
  asked is that mean, how much the corpora differ (tau), and what a new corpus would show.
- The weights come from standard errors that rest on few folds themselves. With four degrees of
  freedom each, even the Hartung-Knapp test is wrong up to 9 % of the time at 5 % (see
  reports.validation.on_corpora), so that `p` asks the unweighted t-test over corpora as well.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from reports.statistics.arrays import FloatArray, vector


@dataclass(frozen=True, kw_only=True)
class Range:
    """Two ends, in points."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PlainTest:
    """Student's t-test of the corpora's differences, all weighing the same; points."""

    mean: float
    standard_error: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """The mean of several corpora's true differences; points, but p, q and share.

    mean, standard_error, low, high (at `confidence`), p_knapp: random effects, Hartung-Knapp.
    weights: [corpus], adding up to 1. tau: standard deviation of true differences over corpora;
    tau_range: its Q-profile interval, `high` infinite where data set no bound. q, q_p: Cochran's
    test of equal true differences. share: I², of the scatter between corpora, what tau explains.
    equal: the unweighted test. p: the larger of both p-values.
    new_truth: where the true difference on a new corpus lies, None for two corpora.
    new_study: where a study on a new corpus would find it, if it is as exact as these.
    """

    corpora: int
    mean: float
    standard_error: float
    low: float
    high: float
    confidence: float
    p_knapp: float
    weights: FloatArray
    tau: float
    tau_range: Range
    q: float
    q_p: float
    share: float
    equal: PlainTest
    p: float
    new_truth: Range | None
    new_study: Range


def random_effects(
    differences: npt.ArrayLike, standard_errors: npt.ArrayLike, *, confidence: float = 0.95
) -> Synthesis:
    """Synthesise differences [corpus] with their standard errors [corpus], in points.

    tau² after Paule & Mandel (1982): unique, without an assumption on shapes. The standard error of
    the mean after Hartung & Knapp (2001) with corpora - 1 degrees of freedom, never smaller than
    the one without their factor (the ad-hoc correction: by chance alike corpora would otherwise
    make it far too small, Jackson et al., 2017). Intervals of tau by Q-profiles (Viechtbauer,
    2007). new_truth: Higgins, Thompson & Spiegelhalter (2009), corpora - 2 degrees of freedom;
    new_study: the classical interval for one more value.
    Raises ValueError for fewer than two corpora or standard errors that are not positive.
    """
    y = vector(differences, "differences", least=2)
    error = vector(standard_errors, "standard_errors", least=2)
    if error.shape != y.shape or not (error > 0).all():
        raise ValueError("standard_errors must be positive, one for each difference")
    v, k = error**2, y.size
    tau2 = between_variance(y, v)
    weight = 1 / (v + tau2)
    mean = float((weight * y).sum() / weight.sum())
    excess = _generalised_q(y, v, tau2) / (k - 1)
    own_error = float((max(1.0, excess) / weight.sum()) ** 0.5)
    half = 0.5 + confidence / 2
    reach = float(stats.t.ppf(half, k - 1)) * own_error
    p_knapp = float(2 * stats.t.sf(abs(mean) / own_error, k - 1))
    equal = _plain_test(y)
    q = _generalised_q(y, v, 0.0)
    new_reach = float(stats.t.ppf(half, k - 1)) * float(y.std(ddof=1)) * (1 + 1 / k) ** 0.5
    return Synthesis(
        corpora=k,
        mean=mean,
        standard_error=own_error,
        low=mean - reach,
        high=mean + reach,
        confidence=confidence,
        p_knapp=p_knapp,
        weights=weight / weight.sum(),
        tau=tau2**0.5,
        tau_range=_tau_range(y, v, confidence),
        q=q,
        q_p=float(stats.chi2.sf(q, k - 1)),
        share=tau2 / (tau2 + _typical_variance(v)),
        equal=equal,
        p=max(p_knapp, equal.p),
        new_truth=_new_truth(mean, own_error, tau2, k, half),
        new_study=Range(low=equal.mean - new_reach, high=equal.mean + new_reach),
    )


def between_variance(values: FloatArray, variances: FloatArray) -> float:
    """tau² of values [k] with variances [k] after Paule & Mandel: where Q(tau²) is k - 1, or 0."""
    return _solve(values, variances, float(values.size - 1))


def best_guesses(
    values: npt.ArrayLike, variances: npt.ArrayLike, *, mean: float | None = None
) -> FloatArray:
    """Empirical Bayes estimates [k] of what values [k] with error variances [k] estimate.

    Each value is drawn towards the mean of all by the share of its variance that is error: normal
    prior with tau² after Paule & Mandel; the best linear unbiased predictions of meta-analysis.
    mean: what they are drawn towards; by default the weighted mean.
    Raises ValueError for fewer than two values or variances that are not positive.
    """
    y, v = vector(values, "values", least=2), vector(variances, "variances", least=2)
    if v.shape != y.shape or not (v > 0).all():
        raise ValueError("variances must be positive, one for each value")
    tau2 = between_variance(y, v)
    centre = float(np.average(y, weights=1 / (v + tau2))) if mean is None else mean
    return np.asarray(centre + (y - centre) * tau2 / (tau2 + v))


def _generalised_q(y: FloatArray, v: FloatArray, tau2: float) -> float:
    """Σ w (y - mean)² with w = 1 / (v + tau²), which falls as tau² grows."""
    weight = 1 / (v + tau2)
    mean = (weight * y).sum() / weight.sum()
    return float((weight * (y - mean) ** 2).sum())


def _solve(y: FloatArray, v: FloatArray, target: float) -> float:
    """The tau² whose generalised Q is `target`; 0 where Q is not larger even there."""
    if _generalised_q(y, v, 0.0) <= target:
        return 0.0
    high = float(v.max() + y.var() * y.size)
    while _generalised_q(y, v, high) > target:
        high *= 4
    found: Any = optimize.brentq(lambda t: _generalised_q(y, v, t) - target, 0.0, high, xtol=1e-14)
    return float(found)


def _tau_range(y: FloatArray, v: FloatArray, confidence: float) -> Range:
    tail = (1 - confidence) / 2
    low, high = (float(stats.chi2.ppf(share, y.size - 1)) for share in (1 - tail, tail))
    return Range(low=_solve(y, v, low) ** 0.5, high=_solve(y, v, high) ** 0.5)


def _typical_variance(v: FloatArray) -> float:
    """Of one corpus's error, as I² takes it (Higgins & Thompson, 2002)."""
    weight = 1 / v
    return float((v.size - 1) * weight.sum() / (weight.sum() ** 2 - (weight**2).sum()))


def _plain_test(y: FloatArray) -> PlainTest:
    mean, error = float(y.mean()), float(y.std(ddof=1)) / y.size**0.5
    if error == 0:
        return PlainTest(mean=mean, standard_error=0.0, p=float(mean == 0))
    p = float(2 * stats.t.sf(abs(mean) / error, y.size - 1))
    return PlainTest(mean=mean, standard_error=error, p=p)


def _new_truth(mean: float, error: float, tau2: float, k: int, half: float) -> Range | None:
    if k < 3:
        return None
    reach = float(stats.t.ppf(half, k - 2)) * (error**2 + tau2) ** 0.5
    return Range(low=mean - reach, high=mean + reach)
