"""Adjusted p of many comparisons with one baseline, which err together.

- Where the baseline happened to do badly, all variants look better, and where its scatter over
  folds happened to be small, all look surer of it. Holm knows neither and takes the worst case.
- Model of one comparison: √λ f / √u + √(1 - λ) e. f is the baseline's luck and u what its variance
  was estimated as, both shared by all comparisons with it, e the variant's own luck; λ is the share
  of the baseline in the comparison. p of each comparison alone stay what they are; the model
  says only how much they go together (a copula).
- Stepping down (Westfall & Young, 1993; Dunnett & Tamhane, 1991): the smallest p is judged among
  all, the next among those left. Never more than Holm's p.
- Arrays may have leading axes: the validation judges thousands of studies in one call.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.multiplicity import holm

SHARES = np.linspace(0.0, 0.5, 6)  # λ is rounded to these; half is what equal scatter makes it
LUCKS, VARIANCES = 16, 12  # nodes of f (half of which suffice: signs do not matter) and of u
DEEPEST, FINE = 7.0, 0.025  # p is looked up by its normal quantile: to 2.6e-12, in such steps


class _Tables(NamedTuple):
    """log_within [λ, p, node]: log P(|T| is below what p is exceeded by | node); weight [node]."""

    log_within: FloatArray
    weight: FloatArray


def step_down(
    p: npt.ArrayLike,
    share: npt.ArrayLike,
    baselines: npt.ArrayLike,
    freedom: int,
    *,
    asked: BoolArray | None = None,
) -> FloatArray:
    """Adjusted p [..., m], in the order given.

    p [..., m]: of each comparison alone, finite. share [..., m]: of each one's variance that its
    baseline accounts for. baselines: [m]; comparisons with different ones are independent.
    freedom: degrees of a variance over folds. asked [..., m]: which are wanted; the others are
    Holm's, never smaller. Raises ValueError for p outside [0, 1].
    """
    bounded = holm(p)
    table = np.asarray(p, dtype=np.float64)
    m = table.shape[-1]
    flat = table.reshape(-1, m)
    order = np.argsort(flat, axis=-1, kind="stable")
    places = _places(np.asarray(share, dtype=np.float64).reshape(-1, m))
    sorted_places = np.take_along_axis(places, order, -1)
    group = np.unique(np.asarray(baselines), return_inverse=True)[1][order]
    depth = _depth(np.take_along_axis(flat, order, -1))
    wanted = np.ones(flat.shape, dtype=bool)
    if asked is not None:  # no step after the last that is asked for
        mine = np.take_along_axis(asked.reshape(-1, m), order, -1)
        wanted = np.flip(np.logical_or.accumulate(np.flip(mine, axis=-1), axis=-1), axis=-1)
    none = np.ones(np.count_nonzero(wanted))
    for one in range(int(group.max()) + 1):
        # how many of each share are left at each step [study, step, λ]
        mine = (sorted_places[..., None] == np.arange(SHARES.size)) & (group == one)[..., None]
        left = np.flip(np.cumsum(np.flip(mine, axis=-2), axis=-2), axis=-2)
        none *= _none_beyond(depth[wanted][:, None], left[wanted][:, None], freedom)[:, 0]
    steps = np.ones(flat.shape)
    steps[wanted] = 1.0 - none
    adjusted = np.empty(flat.shape)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, axis=-1), -1)
    return np.minimum(adjusted.reshape(table.shape), bounded)


def _places(share: FloatArray) -> IntArray:
    """The entry of SHARES that is nearest."""
    return np.asarray(np.rint(np.clip(share, 0.0, SHARES[-1]) / SHARES[1]), dtype=np.int64)


def _depth(p: FloatArray) -> FloatArray:
    """The normal quantile that p, two-sided, is exceeded by."""
    return np.asarray(np.clip(-special.ndtri(np.maximum(p, 1e-300) / 2), 0.0, DEEPEST))


def _none_beyond(depth: FloatArray, left: IntArray, freedom: int) -> FloatArray:
    """P(no comparison of one baseline is as extreme as p) [study, step]; left [study, step, λ]."""
    log_within, weight = _tables(freedom)
    below = np.minimum((depth / FINE).astype(np.int64), log_within.shape[1] - 2)
    part = (depth / FINE - below)[..., None]
    total = np.zeros((*depth.shape, weight.size))
    for place in np.flatnonzero(left.any(axis=(0, 1))):
        rows = log_within[place]
        total += left[..., place, None] * ((1 - part) * rows[below] + part * rows[below + 1])
    return np.asarray(np.exp(total) @ weight)


@cache
def _tables(freedom: int) -> _Tables:
    node, mass = np.polynomial.hermite_e.hermegauss(LUCKS)
    luck, mass = node[node > 0], 2 * mass[node > 0] / mass.sum()
    middle = (np.arange(VARIANCES) + 0.5) / VARIANCES
    estimate = special.chdtri(freedom, middle) / freedom
    push = (luck[:, None] / np.sqrt(estimate)).ravel()
    weight = np.repeat(mass, VARIANCES) / VARIANCES
    depths = np.arange(0.0, DEEPEST + FINE, FINE)
    log_p = np.log(2.0) + special.log_ndtr(-depths)
    reach = np.linspace(0.0, 40.0, 4001)
    rows = []
    for share in SHARES:
        shift, own = share**0.5 * push, (1 - share) ** 0.5
        beyond = special.ndtr((shift - reach[:, None]) / own)
        beyond += special.ndtr((-shift - reach[:, None]) / own)
        with np.errstate(divide="ignore"):
            tail = np.log(beyond @ weight)
        # what is exceeded with probability p, and with which probability at each node
        critical = np.interp(-log_p, -tail, reach)[:, None]
        outside = special.ndtr((shift - critical) / own) + special.ndtr((-shift - critical) / own)
        rows.append(np.log1p(-np.minimum(outside, 1.0 - 1e-15)))
    return _Tables(np.stack(rows), weight)
