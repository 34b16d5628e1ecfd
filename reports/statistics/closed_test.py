"""A closed test of many comparisons with one baseline: what no claim of equality explains away.

- A claim says of k variants that they and their baseline are k + 1 equals. A difference is shown
  where every claim that has its variant among the k is rejected (Marcus, Peritz & Gabriel, 1976).
- Among equals none lies far from the mean of the others. That mean has many variants in it and the
  baseline once, so that the baseline's luck, which is in every difference, hardly counts. A claim
  is rejected where its variant lies apart, where the baseline does (all others moved together), or
  where one comparison is clear enough alone.
- Of all sets of variants those are claimed that are neighbours in the order of their means, or that
  look least different by their own p: what comes nearest to explain a difference away. All of them
  were too many, two to the power of m.
- Arrays may have leading axes: the validation judges thousands of studies in one call.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy import special

from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.corrected_t import correction
from reports.statistics.moderated import ENOUGH, Moderated
from reports.statistics.one_baseline import step_down

# Levels of the three ways to reject a claim, as shares of the family's. They may add up to more
# than one, because all claims must be rejected, also that of the variant alone: one that lies far
# from the others by chance seldom lies far from the baseline, too, unless the baseline has no luck
# of its own. Hence the first grows with the baseline's share of the variance (0 … 1/2). Chosen by
# simulation as what keeps 5 % in the hardest worlds found (docs/statistics.md)
APART, BY_SHARE = 0.3, 9.0
BY_SHARE_LESS = 1.2  # less for each comparison that a baseline has under nine
BASELINE_APART = 0.4
ALONE = 0.5
ENTRIES = 2_000_000  # of a table: rows are taken so many at a time


def closed_test(
    differences: FloatArray,
    tested: Moderated,
    test_train_ratio: npt.ArrayLike,
    baselines: npt.ArrayLike,
    *,
    asked: BoolArray | None = None,
    enough: float = 1.0,
) -> FloatArray:
    """Adjusted p [..., m] of differences [..., m, fold], in points.

    tested: each comparison alone. test_train_ratio: [fold]. baselines: [m]; each one's comparisons
    get their part of the level. asked [..., m]: which are wanted; the others keep what stepping
    down gives them, which rejects every claim at once. enough: from here on a p need not be exact,
    only not smaller.
    """
    m, folds = differences.shape[-2:]
    shape = differences.shape[:-1]
    wanted = (np.ones(shape, dtype=bool) if asked is None else asked).reshape(-1, m)
    group, size = np.unique(np.asarray(baselines), return_inverse=True, return_counts=True)[1:]
    by_share = BY_SHARE - BY_SHARE_LESS * np.maximum(0, ENOUGH - size[group])
    whole = _Family(
        scores=differences.reshape(-1, m, folds),
        p=tested.p.reshape(-1, m),
        level=APART + by_share * tested.share.reshape(-1, m),
        variance=tested.scatter.variant.reshape(-1, m),
        degrees=tested.scatter.degrees.reshape(-1, m),
        baseline=tested.scatter.baseline.reshape(-1, m),
    )
    factor = float(correction(folds, test_train_ratio))
    stepped = step_down(tested.p, tested.share, baselines, folds - 1, asked=asked)
    found = stepped.reshape(-1, m) / ALONE
    for one in range(size.size):
        members = np.flatnonzero(group == one)
        part = _Family(*(values[:, members] for values in whole))
        mean = part.scores.mean(axis=-1)
        # of equal means the less sure one lies further out, whatever is listed first
        by_mean = np.lexsort((-part.p * np.sign(mean), mean), axis=-1)
        by_p = np.argsort(-part.p, axis=-1, kind="stable")
        study, me = np.nonzero(wanted[:, members])
        at_once = max(1, ENTRIES // (members.size * (folds + 8)))
        weight = m / members.size
        for start in range(0, study.size, at_once):
            rows = study[start : start + at_once], me[start : start + at_once]
            neighbours, alike = (_claims(part, order, *rows, factor) for order in (by_mean, by_p))
            held = weight * _held(neighbours, alike, enough / weight)
            where = rows[0], members[rows[1]]
            found[where] = np.minimum(found[where], held)
    return np.minimum(found, 1.0).reshape(shape)


class _Family(NamedTuple):
    """Comparisons with one baseline: scores [study, m, fold], the rest [study, m]. Variances are
    over folds, of variant and baseline apart; level: at which its variant lies apart.
    """

    scores: FloatArray
    p: FloatArray
    level: FloatArray
    variance: FloatArray
    degrees: FloatArray
    baseline: FloatArray


class _Claims(NamedTuple):
    """What is claimed of a comparison and its neighbours, one comparison a row.

    Of the comparison, [row, 1]: p, level, mean, variance, doubt (variance² per degree of freedom)
    and those of its baseline; deviation [row, 1, fold]. Of the others in some order:
    their_p [row, m - 1], and sums of the first 0, 1, … of means, variances, doubts [row, m] and
    deviations [row, m, fold]. factor: by which a variance over folds is that of a mean.
    """

    p: FloatArray
    level: FloatArray
    mean: FloatArray
    variance: FloatArray
    doubt: FloatArray
    baseline: FloatArray
    deviation: FloatArray
    their_p: FloatArray
    means: FloatArray
    variances: FloatArray
    doubts: FloatArray
    deviations: FloatArray
    factor: FloatArray

    def of(self, rows: BoolArray) -> "_Claims":
        """Some of the rows."""
        return _Claims(*(values[rows] for values in self))

    def first(self, k: int) -> "_Claims":
        """The claim of the comparison and the first k - 1 others alone."""
        return self._replace(
            their_p=self.their_p[:, : k - 1],
            means=self.means[:, :k],
            variances=self.variances[:, :k],
            doubts=self.doubts[:, :k],
            deviations=self.deviations[:, :k],
        )


def _claims(
    family: _Family, order: IntArray, study: IntArray, comparison: IntArray, factor: float
) -> _Claims:
    """A row for each comparison, the others of its study in the order [study, m]."""
    m = family.scores.shape[1]
    me, row = comparison[:, None], study[:, None]
    others = order[study][order[study] != me].reshape(study.size, m - 1)
    mean = family.scores.mean(axis=-1)
    deviation = family.scores - mean[..., None]
    doubt = family.variance**2 / family.degrees
    return _Claims(
        p=family.p[row, me],
        level=family.level[row, me],
        mean=mean[row, me],
        variance=family.variance[row, me],
        doubt=doubt[row, me],
        baseline=family.baseline[row, me],
        deviation=deviation[row, me],
        their_p=family.p[row, others],
        means=_running(mean[row, others]),
        variances=_running(family.variance[row, others]),
        doubts=_running(doubt[row, others]),
        deviations=_running(deviation[row, others]),
        factor=np.full(row.shape, factor),
    )


def _running(values: FloatArray) -> FloatArray:
    """Sums of the first 0, 1, … of values [row, m - 1, …]."""
    return np.concatenate([np.zeros_like(values[:, :1]), np.cumsum(values, axis=1)], axis=1)


def _held(neighbours: _Claims, alike: _Claims, enough: float) -> FloatArray:
    """The level [row] at which no claim holds a comparison back any more, exact below `enough`.

    neighbours: the others in the order of their means, of which all that follow each other are
    claimed; alike: from the least to the most different, of which the first are.
    """
    found = neighbours.p[:, 0].copy()
    left = np.arange(found.size)
    for k in range(2, neighbours.means.shape[1] + 1):
        stays = found[left] < enough
        if stays.mean() < 0.9:
            neighbours, alike, left = neighbours.of(stays), alike.of(stays), left[stays]
        if not left.size:
            break
        for claims in (alike.first(k), neighbours):
            found[left] = np.maximum(found[left], _of_size(claims, k))
    return found


def _of_size(claims: _Claims, k: int) -> FloatArray:
    """The level [row] at which all claims of k variants are rejected that hold the row's."""
    means, variances, doubts, deviations = (
        sums[:, k - 1 :] - sums[:, : 1 - k]
        for sums in (claims.means, claims.variances, claims.doubts, claims.deviations)
    )
    freedom = deviations.shape[-1] - 1
    base_doubt = claims.baseline**2 / freedom
    apart = _p(
        claims.mean - means / k,
        claims.variance + (variances + claims.baseline) / k**2,
        claims.doubt + (doubts + base_doubt) / k**4,
        claims.factor,
    )
    together = _p(
        (claims.mean + means) / k,
        claims.baseline + (claims.variance + variances) / k**2,
        base_doubt + (claims.doubt + doubts) / k**4,
        claims.factor,
        # variants that share luck are less sure together than they look one by one
        least=np.square(claims.deviation + deviations).sum(axis=-1) / (freedom * k**2),
    )
    smallest = sliding_window_view(claims.their_p, k - 1, axis=1).min(axis=-1)
    alone = k * np.minimum(smallest, claims.p)
    ways = (apart * k / claims.level, together / BASELINE_APART, alone / ALONE)
    return np.asarray(np.minimum.reduce(ways).max(axis=1))


def _p(
    estimate: FloatArray,
    variance: FloatArray,
    doubt: FloatArray,
    factor: FloatArray,
    least: FloatArray | None = None,
) -> FloatArray:
    """Two-sided p of a contrast of means, by Welch and Satterthwaite: its variance over folds is a
    sum, and counts as `least` at least.
    """
    degrees = variance**2 / doubt
    used = variance if least is None else np.maximum(variance, least)
    return np.asarray(2 * special.stdtr(degrees, -np.abs(estimate) / np.sqrt(used * factor)))
