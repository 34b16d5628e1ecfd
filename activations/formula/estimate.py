"""Facts of a formula that a user typed: estimated, because none are declared.

- They come from its values on a grid and far out, and are always shown as estimates.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from activations.formula.facts import Facts
from activations.formula.formula import Formula
from activations.formula.series import HIGHEST, derivative_at
from activations.formula.torch_code import compile_torch

FloatArray = NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]

_WINDOW, _POINTS = 12.0, 48_001
_FAR = np.concatenate([np.logspace(2, 4, 200), np.linspace(1e200, 2e200, 41)])


def estimate_facts(formula: Formula) -> Facts:
    """Facts of a formula at its initial parameters, from values in float64.

    The grid spans ±12 in steps of 0.0005; 1e4 and 1e200 stand for infinity. A kink narrower than
    the grid, or a fourth derivative that jumps, is not seen.
    """
    function = _function(formula)
    slope = _derivative(formula, 1)
    grid = np.linspace(-_WINDOW, _WINDOW, _POINTS)
    values, slopes = function(grid), slope(grid)
    smoothness = _smoothness(formula, grid)
    low, high = _largest(lambda x: -function(x), grid), _largest(function, grid)
    return Facts(
        range=(-low, high),
        monotone=bool(np.all(np.diff(values) >= -1e-13) and np.all(slopes >= -1e-13)),
        odd=bool(np.allclose(values, -function(-grid), rtol=1e-12, atol=1e-14)),
        zero_at_zero=bool(abs(function(np.zeros(1))[0]) < 1e-15),
        lipschitz=float("inf")
        if smoothness < 0
        else max(_largest(slope, grid), _largest(lambda x: -slope(x), grid)),
        smoothness=smoothness,
    )


def _function(formula: Formula) -> Function:
    code = compile_torch(formula.program())
    parameters = [torch.tensor(value, dtype=torch.float64) for value in formula.initial]

    def function(x: FloatArray) -> FloatArray:
        result = code(torch.from_numpy(x), *parameters)[0]
        return np.broadcast_to(np.asarray(result, dtype=np.float64), x.shape)

    return function


def _derivative(formula: Formula, order: int) -> Function:
    names = (parameter.name for parameter in formula.parameters)
    values = dict(zip(names, formula.initial, strict=True))
    return lambda x: derivative_at(formula.expression, values, x, order)


def _largest(function: Function, grid: FloatArray) -> float:
    """The supremum: the grid's largest value, refined three times, or inf if it grows far out."""
    with np.errstate(all="ignore"):
        near = function(grid)
        far = np.concatenate([function(_FAR), function(-_FAR)])
    best = float(np.max(near))
    if not np.isfinite(best) or np.nanmax(far) > 2 * abs(best) + 10:
        return float("inf")
    left, right = grid[0], grid[-1]
    points = grid
    for _ in range(4):
        peak = int(np.argmax(function(points)))
        left, right = points[max(peak - 1, 0)], points[min(peak + 1, len(points) - 1)]
        points = np.linspace(left, right, 2001)
        best = max(best, float(np.max(function(points))))
    return max(best, float(np.max(far)))


def _smoothness(formula: Formula, grid: FloatArray) -> float:
    for order in range(HIGHEST + 1):
        if _jumps(_derivative(formula, order), grid):
            return order - 1
    return float("inf")


def _jumps(function: Function, grid: FloatArray) -> bool:
    """Whether a function is discontinuous, found by halving the intervals of the largest changes.

    The grid is shifted, because derived expressions may be off in the one point where |x| is 0.
    """
    grid = grid + 0.137 * (grid[1] - grid[0])
    changes = np.abs(np.diff(function(grid)))
    around_zero = int(np.searchsorted(grid, 0.0)) - 1
    chosen = np.unique([*np.argsort(changes)[-16:], around_zero])
    a, b = grid[chosen], grid[chosen + 1]
    at_a, at_b = function(a), function(b)
    for _ in range(60):
        half = (a + b) / 2
        at_half = function(half)
        left = np.abs(at_half - at_a) >= np.abs(at_b - at_half)
        a, b = np.where(left, a, half), np.where(left, half, b)
        at_a, at_b = np.where(left, at_a, at_half), np.where(left, at_half, at_b)
    return bool(np.any(np.abs(at_b - at_a) > 1e-7 * np.maximum(1.0, np.abs(at_a))))
