"""Derivatives of a formula by x as numbers: Taylor series, carried through each of its parts once.

- An expression that is differentiated three times is a tree that grows with every product and every
  nesting: sixty factors, or forty functions of each other, make millions of nodes. A series through
  the parts costs the same for each part, whose kind is looked up once and not at every call.
- The functions' own derivatives are those of `primitives`, at a kink on the side chosen there.
"""

from collections.abc import Callable, Mapping
from functools import cache, reduce
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
Operation = Callable[..., Series]  # of the series of a part's arguments

HIGHEST = 3
_AT_ONCE = 4096  # points: what is worked with stays in the cache, whatever the formula
_COMPARE: dict[type[Comparison], Callable[[Any, Any], Any]] = {
    Less: np.less,
    LessEqual: np.less_equal,
    Greater: np.greater,
    GreaterEqual: np.greater_equal,
}
_X = sympy.Symbol("x")


def taylor(
    expression: sympy.Expr, values: Mapping[str, float], order: int
) -> Callable[[FloatArray], FloatArray]:
    """A function of x [point] that gives [order + 1, point]: value and derivatives, in float64.

    values: of the other symbols. order: 0 … 3. What overflows or is not defined is inf or NaN.
    """
    parts = _Parts(values, order)
    result = parts.place(expression)

    def some(x: FloatArray) -> FloatArray:
        found: list[Series] = list(parts.constants)
        found[0] = [x, 1.0, 0.0, 0.0][: order + 1]
        for operation, place, arguments in parts.steps:
            found[place] = operation(*(found[each] for each in arguments))
        return np.stack([np.broadcast_to(each, x.shape) for each in found[result]])

    def function(x: FloatArray) -> FloatArray:
        pieces = [x[start : start + _AT_ONCE] for start in range(0, len(x), _AT_ONCE)]
        with np.errstate(all="ignore"):
            return np.concatenate([some(piece) for piece in pieces], axis=1)

    return function


class _Parts:
    """The parts of an expression, each once, arguments first.

    constants: the series of each part, [] where it depends on x, whose place is 0. steps: how to
    get these, in order: the operation, its part's place and its arguments' places.
    """

    def __init__(self, values: Mapping[str, float], order: int) -> None:
        self.order = order
        self.constants: list[Series] = [[]]
        self.steps: list[tuple[Operation, int, tuple[int, ...]]] = []
        self._places: dict[sympy.Expr, int] = {_X: 0}
        for name, value in values.items():
            self._add(sympy.Symbol(name), _constant(value, order))

    def place(self, expression: sympy.Expr) -> int:
        if expression in self._places:
            return self._places[expression]
        if not expression.args:
            return self._add(expression, _constant(float(expression), self.order))
        operation, parts = _operation(expression)
        arguments = tuple(self.place(part) for part in parts)
        known = [self.constants[each] for each in arguments]
        if all(known):
            with np.errstate(all="ignore"):
                value = np.ravel(operation(*([each[0]] for each in known))[0])[0]
            return self._add(expression, _constant(float(value), self.order))
        place = self._add(expression, [])
        self.steps.append((operation, place, arguments))
        return place

    def _add(self, expression: sympy.Expr, series: Series) -> int:
        self._places[expression] = len(self.constants)
        self.constants.append(series)
        return self._places[expression]


def _operation(expression: sympy.Expr) -> tuple[Operation, tuple[sympy.Expr, ...]]:
    """What makes the series of an expression, and the parts whose series it takes."""
    if isinstance(expression, Where):
        condition, *branches = expression.args
        holds = _COMPARE[type(condition)]
        return (
            lambda left, right, yes, no: _choose(holds(left[0], right[0]), yes, no),
            (*condition.args, *branches),
        )
    if isinstance(expression, sympy.Pow):
        exponent = int(expression.exp)
        return lambda base: _power(base, exponent), (expression.base,)
    if isinstance(expression, sympy.Add):
        return _sum, expression.args
    if isinstance(expression, sympy.Mul):
        return lambda *parts: reduce(_times, parts), expression.args
    if isinstance(expression, Maximum):
        return lambda u, v: _choose(np.greater(u[0], v[0]), u, v), expression.args
    if isinstance(expression, Minimum):
        return lambda u, v: _choose(np.less_equal(u[0], v[0]), u, v), expression.args
    kind: Any = type(expression)  # SymPy gives its classes a hash that types do not know
    lower, higher = _slopes(kind)

    def primitive(inner: Series) -> Series:
        at = torch.from_numpy(np.array(inner[0], dtype=np.float64, ndmin=1))
        outer = [*lower(at), *(higher(at) if len(inner) > 2 else ())]
        return _chain([np.asarray(slope) for slope in outer], inner)

    return primitive, expression.args


def _constant(value: float, order: int) -> Series:
    return [value, *(0.0 for _ in range(order))]


def _choose(condition: Any, yes: Series, no: Series) -> Series:
    return [np.where(condition, a, b) for a, b in zip(yes, no, strict=True)]


def _sum(*parts: Series) -> Series:
    return [sum(terms[1:], terms[0]) for terms in zip(*parts, strict=True)]


def _power(base: Series, exponent: int) -> Series:
    outer, factor = [], 1.0
    for k in range(len(base)):
        power = np.asarray(base[0], dtype=np.float64) ** (exponent - k) if factor else 0.0
        outer.append(factor * power)  # no 0 · 0^-1, which is NaN
        factor *= exponent - k
    return _chain(outer, base)


def _times(f: Series, g: Series) -> Series:
    """Leibniz's rule."""
    found = [f[0] * g[0]]
    if len(f) > 1:
        found.append(f[0] * g[1] + f[1] * g[0])
    if len(f) > 2:
        found.append(f[0] * g[2] + 2 * (f[1] * g[1]) + f[2] * g[0])
    if len(f) > 3:
        found.append(f[0] * g[3] + 3 * (f[1] * g[2] + f[2] * g[1]) + f[3] * g[0])
    return found


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
    """Value and slope, and the next two derivatives, as torch code of one argument."""
    expression = primitive(_X)
    pairs = (expression, expression.diff(_X, 2))
    return [compile_torch(build_program(("x",), each, ("value", "x"))) for each in pairs]
