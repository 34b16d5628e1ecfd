"""What comparisons with one baseline share: its noise, and what is left to each variant.

- The baseline's noise is in every difference. It hides which variant scatters more than the rest:
  a variant of three times the deviation has five times the variance of a difference, but nine
  times that of a residual about the comparisons' common course over folds.
- The common course is a mean weighted by each difference's precision, so that noisy variants hardly
  move it. Nothing here knows a mean difference: only deviations over folds are looked at.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray

LEAST = 1e-6  # of a family's median variance: what a variance counts with at least


class Scatter(NamedTuple):
    """Variances over folds [..., m] of variants and baselines apart: of each variant's own scores,
    with their degrees of freedom, and of its baseline's, which have the folds' less one.
    """

    variant: FloatArray
    degrees: FloatArray
    baseline: FloatArray


class SharedNoise(NamedTuple):
    """residual: variance over folds about the common course; shared: variance over folds of what
    all comparisons with the same baseline have in common, at least 0. Both [..., m].
    """

    residual: FloatArray
    shared: FloatArray


def split_noise(differences: FloatArray, baselines: npt.ArrayLike) -> SharedNoise:
    """Split the scatter of differences [..., m, fold] into what is shared and what is not.

    baselines: [m], a number for the baseline that each comparison has. A comparison that is alone
    with its baseline shares nothing: its residual is its own variance.
    """
    deviation = differences - differences.mean(axis=-1, keepdims=True)
    freedom = differences.shape[-1] - 1
    own = (deviation**2).sum(axis=-1) / freedom
    floor = LEAST * np.median(own, axis=-1, keepdims=True)
    weight = 1.0 / np.maximum(own, np.where(floor > 0, floor, 1.0))
    residual, shared = own.copy(), np.zeros_like(own)
    group = np.unique(np.asarray(baselines), return_inverse=True)[1]
    for one in range(int(group.max()) + 1):
        members = group == one
        if members.sum() < 2:
            continue
        w, d = weight[..., members], deviation[..., members, :]
        weighted = w[..., None] * d
        course = weighted.sum(axis=-2) / w.sum(axis=-1)[..., None]
        residual[..., members] = ((d - course[..., None, :]) ** 2).sum(axis=-1) / freedom
        # the weighted mean of all covariances: squares of the sum without the sum of squares
        pairs = w.sum(axis=-1) ** 2 - (w**2).sum(axis=-1)
        products = (weighted.sum(axis=-2) ** 2).sum(axis=-1) - (weighted**2).sum(axis=(-1, -2))
        shared[..., members] = np.maximum(products / freedom / pairs, 0.0)[..., None]
    return SharedNoise(np.maximum(residual, LEAST * own), shared)


def baseline_variance(
    differences: FloatArray, baselines: npt.ArrayLike, variances: FloatArray
) -> FloatArray:
    """Variance over folds [..., m] of each comparison's baseline, from differences [..., m, fold].

    It is that of the mean of its differences, weighted by the variants' own variances [..., m], and
    has a little of theirs in it.
    """
    deviation = differences - differences.mean(axis=-1, keepdims=True)
    found = np.empty_like(variances)
    group = np.unique(np.asarray(baselines), return_inverse=True)[1]
    for one in range(int(group.max()) + 1):
        members = group == one
        weight = 1.0 / variances[..., members]
        weight /= weight.sum(axis=-1, keepdims=True)
        course = (weight[..., None] * deviation[..., members, :]).sum(axis=-2)
        found[..., members] = course.var(axis=-1, ddof=1)[..., None]
    return found
