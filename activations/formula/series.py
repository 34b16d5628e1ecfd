"""Derivatives of a formula by x as numbers: Taylor series, carried through each of its parts once.

- An expression that is differentiated three times is a tree that grows with every product and every
  nesting: sixty factors, or forty functions of each other, make millions of nodes. A series through
  the parts costs the same for each part.
- The functions' own derivatives are those of `primitives`, at a kink on the side chosen there.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import sympy
import torch
from numpy.typing import NDArray

from activations.formula.primitives import (
    Comparison,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Maximum,
    Minimum,
    Primitive,
    Where,
)
from activations.formula.program import build_program
from activations.formula.torch_code import compile_torch

FloatArray = NDArray[np.float64]
Series = list[Any]  # the value and its derivatives: arrays, or numbers where they are constant

HIGHEST = 3
_COMPARE: dict[type[Comparison], Callable[[Any, Any], Any]] = {
    Less: np.less,
    LessEqual: np.less_equal,
    Greater: np.greater,
    GreaterEqual: np.greater_equal,
}
_X = sympy.Symbol("x")


def derivative_at(
    expression: sympy.Expr, values: Mapping[str, float], x: FloatArray, order: int
) -> FloatArray:
    """The derivative of this order (0 … 3) by x at each x, in float64.

    values: of the other symbols.
    """
    known: dict[sympy.Expr, Series] = {_X: [x, 1.0, 0.0, 0.0][: order + 1]}
    for name, value in values.items():
        known[sympy.Symbol(name)] = _constant(value, order)
    with np.errstate(all="ignore"):
        found = _series(expression, known, order)[order]
    return np.broadcast_to(np.asarray(found, dtype=np.float64), x.shape)


def _series(expression: sympy.Expr, known: dict[sympy.Expr, Series], order: int) -> Series:
    if expression not in known:
        known[expression] = _derived(expression, known, order)
    return known[expression]


def _derived(expression: sympy.Expr, known: dict[sympy.Expr, Series], order: int) -> Series:
    if expression.is_number and expression.is_Atom:
        return _constant(float(expression), order)
    if isinstance(expression, Where):
        condition, *branches = expression.args
        sides = [_series(side, known, order)[0] for side in condition.args]
        return _choose(
            _COMPARE[type(condition)](*sides), *(_series(b, known, order) for b in branches)
        )
    if isinstance(expression, sympy.Pow):
        base, exponent = _series(expression.base, known, order), int(expression.exp)
        outer, factor = [], 1.0
        for k in range(order + 1):
            power = np.asarray(base[0], dtype=np.float64) ** (exponent - k) if factor else 0.0
            outer.append(factor * power)  # no 0 · 0^-1, which is NaN
            factor *= exponent - k
        return _chain(outer, base)
    parts = [_series(argument, known, order) for argument in expression.args]
    if isinstance(expression, sympy.Add):
        return [sum(terms) for terms in zip(*parts, strict=True)]
    if isinstance(expression, sympy.Mul):
        product = parts[0]
        for part in parts[1:]:
            product = _times(product, part)
        return product
    if isinstance(expression, Maximum):
        return _choose(np.greater(parts[0][0], parts[1][0]), *parts)
    if isinstance(expression, Minimum):
        return _choose(np.less_equal(parts[0][0], parts[1][0]), *parts)
    (inner,) = parts
    at = torch.from_numpy(np.array(inner[0], dtype=np.float64, ndmin=1))
    kind: Any = type(expression)  # SymPy gives its classes a hash that types do not know
    outer = [np.asarray(slope(at)[0]) for slope in _slopes(kind)[: order + 1]]
    return _chain(outer, inner)


def _constant(value: float, order: int) -> Series:
    return [value, *(0.0 for _ in range(order))]


def _choose(condition: Any, yes: Series, no: Series) -> Series:
    return [np.where(condition, a, b) for a, b in zip(yes, no, strict=True)]


def _times(f: Series, g: Series) -> Series:
    """Leibniz's rule."""
    return [sum(math.comb(n, k) * f[k] * g[n - k] for k in range(n + 1)) for n in range(len(f))]


def _chain(g: Series, u: Series) -> Series:
    """Faà di Bruno's formula; g: the outer function's derivatives at u."""
    found = [g[0]]
    if len(u) > 1:
        found.append(g[1] * u[1])
    if len(u) > 2:
        found.append(g[2] * u[1] ** 2 + g[1] * u[2])
    if len(u) > 3:
        found.append(g[3] * u[1] ** 3 + 3 * g[2] * u[1] * u[2] + g[1] * u[3])
    return found


@cache
def _slopes(primitive: type[Primitive]) -> list[Callable[..., tuple[Any, ...]]]:
    """A function of one argument and its derivatives, as torch code."""
    expression, code = primitive(_X), []
    for _ in range(HIGHEST + 1):
        code.append(compile_torch(build_program(("x",), expression, ("value",))))
        expression = expression.diff(_X)
    return code
