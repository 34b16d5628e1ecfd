"""Bayesian random effects: what two or three corpora say together, once a prior is admitted.

- Two corpora tell next to nothing about how much corpora differ. An interval that asks them alone
  is 12.7 standard errors wide either way; here a prior on tau says what two cannot, aloud.
- Each corpus's standard error rests on few folds, so its likelihood is Student's t, not normal:
  a mixture of normals over the precision, summed on a grid.
- Given tau and the precisions all is normal, so no sampler is needed (Röver, 2020): sums over grids
  of tau, the mean and one precision are the whole posterior.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from reports.statistics.arrays import FloatArray, vector

# prior of tau: half-normal, in points. The median is 0.67 times its scale, one in twenty is beyond
# 1.96 times. The published gain of an activation is 2 points: corpora that disagree by more than
# twice that would make the question pointless. Half and double are given beside it
SCALE = 2.0
SCALES = (SCALE / 2, SCALE, SCALE * 2)
TAUS, MEANS, PRECISIONS = 32, 401, 28  # nodes: quantiles within 0.1 % of the interval


@dataclass(frozen=True, kw_only=True)
class CorporaPosterior:
    """The mean of corpora's true differences, given a half-normal prior of `scale` on tau; points.

    mean: posterior median; low, high: central interval at `confidence`. positive: the probability
    that the mean is above 0. tau: posterior median. new_low, new_high: central interval of the true
    difference on a new corpus.
    """

    scale: float
    mean: float
    low: float
    high: float
    confidence: float
    positive: float
    tau: float
    new_low: float
    new_high: float


def posteriors(
    differences: npt.ArrayLike,
    standard_errors: npt.ArrayLike,
    degrees: npt.ArrayLike,
    *,
    scales: Sequence[float] = SCALES,
    confidence: float = 0.95,
) -> tuple[CorporaPosterior, ...]:
    """Posteriors of the mean of true differences [corpus], one for each scale of tau's prior.

    differences, standard_errors [corpus], in points; degrees [corpus]: of freedom of each standard
    error, infinite where it is known. Flat prior on the mean.
    Raises ValueError for fewer than two corpora; for errors, degrees or scales that are not
    positive.
    """
    y = vector(differences, "differences", least=2)
    error = vector(standard_errors, "standard_errors", least=2)
    freedom = np.asarray(degrees, dtype=np.float64)
    if error.shape != y.shape or freedom.shape != y.shape:
        raise ValueError("there must be one standard error and its degrees for each difference")
    if not ((error > 0).all() and (freedom > 0).all() and min(scales) > 0):
        raise ValueError("standard errors, their degrees and scales must be positive")
    return tuple(_posterior(y, error, freedom, scale, confidence) for scale in scales)


def log_likelihood(
    difference: float, error: float, degrees: float, means: FloatArray, taus: FloatArray
) -> FloatArray:
    """Log density [tau, mean] of one corpus's difference, its own true difference summed out."""
    precision, weight = _precisions(degrees)
    variance = taus[:, None] ** 2 + error**2 / precision  # [tau, precision]
    each = np.exp((difference - means) ** 2 / (-2.0 * variance[..., None]))
    with np.errstate(divide="ignore"):  # far away: no density at all
        return np.asarray(
            np.log(np.einsum("tpm,tp->tm", each, weight / np.sqrt(2 * np.pi * variance)))
        )


def joint_posterior(
    differences: FloatArray,
    errors: FloatArray,
    degrees: FloatArray,
    means: FloatArray,
    taus: FloatArray,
    log_prior: FloatArray,
) -> FloatArray:
    """Weights [tau, mean] of a grid's nodes, which sum to 1.

    differences, errors, degrees: [corpus], as for `posteriors`. means, taus: the nodes.
    log_prior: of each node, with the logarithm of the step that it stands for, to a constant.
    """
    joint = log_prior
    for one, own, known in zip(differences, errors, degrees, strict=True):
        joint = joint + log_likelihood(float(one), float(own), float(known), means, taus)
    weight = np.exp(joint - joint.max())
    return np.asarray(weight / weight.sum())


def _posterior(
    y: FloatArray, error: FloatArray, freedom: FloatArray, scale: float, confidence: float
) -> CorporaPosterior:
    node, width = np.polynomial.legendre.leggauss(TAUS)
    taus = 6.0 * scale * (node + 1) / 2  # a half-normal has 2e-9 beyond six scales
    means, step = _means(y, error, scale)
    prior = (np.log(width) - 0.5 * (taus / scale) ** 2)[:, None] + np.log(step)
    weight = joint_posterior(y, error, freedom, means, taus, prior)
    of_mean, of_tau = weight.sum(axis=0), weight.sum(axis=1)
    tail = (1 - confidence) / 2
    below = np.cumsum(of_mean) - of_mean / 2
    low, middle, high = np.interp((tail, 0.5, 1 - tail), below, means)
    new_low, new_high = (_new(taus, means, weight, share) for share in (tail, 1 - tail))
    return CorporaPosterior(
        scale=scale,
        mean=float(middle),
        low=float(low),
        high=float(high),
        confidence=confidence,
        positive=float(1.0 - np.interp(0.0, means, below)),
        tau=float(np.interp(0.5, np.cumsum(of_tau) - of_tau / 2, taus)),
        new_low=new_low,
        new_high=new_high,
    )


def _means(y: FloatArray, error: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """Nodes of the mean and their steps: dense where the most exact corpora put it, wide beyond."""
    fine = float(error.min()) / 2
    reach = float(np.ptp(y)) + 10.0 * (float(error.max()) + scale)
    u = np.linspace(-1, 1, MEANS) * np.arcsinh(reach / fine)
    centre = float(np.average(y, weights=error**-2))
    return centre + fine * np.sinh(u), fine * np.cosh(u)


def _new(taus: FloatArray, means: FloatArray, weight: FloatArray, share: float) -> float:
    """Quantile of a new corpus's true difference: normal around each mean with each tau."""

    def beyond(x: float) -> float:
        return float((weight * special.ndtr((x - means) / taus[:, None])).sum()) - share

    found: Any = optimize.brentq(beyond, means[0] - 6 * taus[-1], means[-1] + 6 * taus[-1])
    return float(found)


@cache
def _precisions(degrees: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of χ²/degrees: what the precision of a standard error may be off by."""
    if np.isinf(degrees):
        return np.ones(1), np.ones(1)
    law = stats.gamma(degrees / 2, scale=2 / degrees)
    nodes = np.exp(np.linspace(np.log(law.ppf(1e-9)), np.log(law.isf(1e-12)), PRECISIONS))
    weight = law.pdf(nodes) * nodes  # evenly spaced in the logarithm
    return nodes, np.asarray(weight / weight.sum())
