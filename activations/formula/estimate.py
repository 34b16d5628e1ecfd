"""Facts of a formula that a user typed: estimated, because none are declared.

- They come from its values on a grid and far out, and are always shown as estimates.
- All orders of derivatives are looked at together: a series through the formula's parts gives all
  of them at once.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from activations.formula.facts import Facts
from activations.formula.formula import Formula
from activations.formula.series import HIGHEST, taylor
from activations.formula.torch_code import compile_torch

FloatArray = NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]

_WINDOW, _POINTS = 12.0, 48_001
_FAR = np.concatenate([np.logspace(2, 4, 200), np.linspace(1e200, 2e200, 41)])
_PARTS = 16  # that an interval is cut into at once when a jump is looked for


def estimate_facts(formula: Formula) -> Facts:
    """Facts of a formula at its initial parameters, from values in float64.

    The grid spans ±12 in steps of 0.0005; 1e4 and 1e200 stand for infinity. A kink narrower than
    the grid, or a fourth derivative that jumps, is not seen.
    """
    function, grid = _function(formula), np.linspace(-_WINDOW, _WINDOW, _POINTS)
    with np.errstate(all="ignore"):  # what is not finite is dealt with as such
        first = _series(formula, 1)
        values, slopes = function(grid), first(grid)[1]
        smoothness = _smoothness(_series(formula, HIGHEST), grid)
        steepest = max(map(abs, _bounds(lambda x: first(x)[1], slopes, grid)))
        return Facts(
            range=_bounds(function, values, grid),
            monotone=bool(np.all(np.diff(values) >= -1e-13) and np.all(slopes >= -1e-13)),
            odd=bool(np.allclose(values, -function(-grid), rtol=1e-12, atol=1e-14)),
            zero_at_zero=bool(abs(function(np.zeros(1))[0]) < 1e-15),
            lipschitz=float("inf") if smoothness < 0 else steepest,
            smoothness=smoothness,
        )


def _function(formula: Formula) -> Function:
    code = compile_torch(formula.program())
    parameters = [torch.tensor(value, dtype=torch.float64) for value in formula.initial]

    def function(x: FloatArray) -> FloatArray:
        result = code(torch.from_numpy(x), *parameters)[0]
        return np.broadcast_to(np.asarray(result, dtype=np.float64), x.shape)

    return function


def _series(formula: Formula, order: int) -> Function:
    """Value and derivatives at x [point], as [order + 1, point]."""
    names = (parameter.name for parameter in formula.parameters)
    return taylor(formula.expression, dict(zip(names, formula.initial, strict=True)), order)


def _bounds(function: Function, near: FloatArray, grid: FloatArray) -> tuple[float, float]:
    """Infimum and supremum; near: the function's values on the grid."""
    far = np.concatenate([function(_FAR), function(-_FAR)])
    low = _largest(lambda x: -function(x), -near, -far, grid)
    return -low, _largest(function, near, far, grid)


def _largest(function: Function, near: FloatArray, far: FloatArray, grid: FloatArray) -> float:
    """The supremum: the grid's largest value, refined four times, or inf if it grows far out."""
    best = float(np.max(near))
    if not np.isfinite(best) or np.nanmax(far) > 2 * abs(best) + 10:
        return float("inf")
    points, values = grid, near
    for _ in range(4):
        peak = int(np.argmax(values))
        left, right = points[max(peak - 1, 0)], points[min(peak + 1, len(points) - 1)]
        points = np.linspace(left, right, 2001)
        values = function(points)
        best = max(best, float(np.max(values)))
    return max(best, float(np.max(far)))


def _smoothness(series: Function, grid: FloatArray) -> float:
    """How many derivatives are continuous, of those that the series [order, point] has."""
    jumps = np.flatnonzero(_jumps(series, grid))
    return float(jumps[0]) - 1 if len(jumps) else float("inf")


def _jumps(series: Function, grid: FloatArray) -> NDArray[np.bool_]:
    """Whether each order is discontinuous: by cutting the intervals of its largest changes.

    The grid is shifted, because derived expressions may be off in the one point where |x| is 0.
    Of the parts of an interval the one with the largest change is cut again, until 2^60 of them
    would fill the interval.
    """
    grid = grid + 0.137 * (grid[1] - grid[0])
    around_zero = int(np.searchsorted(grid, 0.0)) - 1
    changes = np.abs(np.diff(series(grid)))
    orders = np.arange(len(changes))[:, None]
    chosen = np.argsort(changes)[:, -16:]  # [order, interval]
    chosen = np.column_stack([chosen, np.full(len(changes), around_zero)])
    a, b = grid[chosen], grid[chosen + 1]
    intervals = np.arange(chosen.shape[1])
    shares = np.linspace(0.0, 1.0, _PARTS + 1)
    for _ in range(60 // (_PARTS.bit_length() - 1)):
        points = a[..., None] + (b - a)[..., None] * shares  # [order, interval, end of a part]
        points[..., -1] = b
        found = series(points.ravel()).reshape(-1, *points.shape)
        ends = found[orders[:, 0], orders[:, 0]]  # each order at its own points
        part = np.argmax(np.abs(np.diff(ends)), axis=-1)
        where = orders, intervals, part
        after = orders, intervals, part + 1
        a, b, at_a, at_b = points[where], points[after], ends[where], ends[after]
    found_jumps = np.abs(at_b - at_a) > 1e-7 * np.maximum(1.0, np.abs(at_a))
    return np.asarray(np.any(found_jumps, axis=1))
