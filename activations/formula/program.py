"""A formula as a straight line of assignments: what torch, C and Triton code are all written from.

- Value and derivatives share most of their work (the sigmoid in x·σ(x) and in its slope), so they
  are computed by one program with common subexpressions named once.
- NaN in must be NaN out, but `where` and `sign` swallow a NaN. A formula that uses them gets one
  last step that lets a NaN through, here and not in each printer.
- Constants are folded at 50 digits, so a printer sees numbers only as Rational or Float.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import mpmath
import sympy

from activations.formula.primitives import (
    Absolute,
    Atan,
    Comparison,
    Cos,
    Erf,
    IsNan,
    Maximum,
    Minimum,
    Sigmoid,
    Sign,
    Sin,
    Tanh,
    Where,
    exact_value,
)
from activations.formula.slopes import derivative

X = sympy.Symbol("x")

_BOUNDED = (Atan, Cos, Erf, Sigmoid, Sign, Sin, Tanh)


@dataclass(frozen=True)
class Program:
    """Assignments in order, then the outputs.

    inputs: `x` and the parameters, in order. steps: (temporary, expression) pairs; an expression
    uses inputs and earlier temporaries only. A temporary may stand for a Comparison (true or false;
    see `is_condition`).
    outputs: one expression for each name in `names`, where `value` is the activation and any other
    name is the input it is the derivative by.
    """

    inputs: tuple[str, ...]
    steps: tuple[tuple[sympy.Symbol, sympy.Expr], ...]
    names: tuple[str, ...]
    outputs: tuple[sympy.Expr, ...]

    def is_condition(self, expression: sympy.Expr) -> bool:
        """Whether an expression of this program is true or false rather than a number."""
        if isinstance(expression, sympy.Symbol):
            expression = dict(self.steps).get(expression, expression)
        return isinstance(expression, Comparison)


def build_program(
    inputs: tuple[str, ...], expression: sympy.Expr, outputs: tuple[str, ...]
) -> Program:
    """The program for some of: `value`, `x` (the derivative by x), and a parameter's name (the
    derivative by it).

    Raises ValueError for an output that is neither.
    """
    for name in outputs:
        if name != "value" and name not in inputs:
            raise ValueError(
                f"a program computes 'value' or a derivative by one of {inputs}, not {name!r}"
            )
    wanted = [
        _let_nan_through(expression) if name == "value" else derivative(expression, name)
        for name in outputs
    ]
    steps, results = sympy.cse(
        [fold_constants(e) for e in wanted], symbols=_temporaries(inputs), order="canonical"
    )
    return Program(inputs, tuple(steps), outputs, tuple(results))


def fold_constants(expression: sympy.Expr) -> sympy.Expr:
    """The same expression with each part that has no symbol, such as sqrt(2/pi), replaced by a
    number.
    """
    return _numbers(_decided(expression))


def _decided(expression: sympy.Expr) -> sympy.Expr:
    """With each `where` whose condition has no symbol replaced by the branch it takes: only then is
    it known which parts have none.
    """
    if not expression.has(Where):
        return expression
    arguments = [_decided(argument) for argument in expression.args]
    if isinstance(expression, Where) and not arguments[0].free_symbols:
        condition, u, v = arguments
        return u if exact_value(condition, {}) else v
    return expression.func(*arguments)


def _numbers(expression: sympy.Expr) -> sympy.Expr:
    if expression.is_Atom and expression is not sympy.pi:
        return expression
    if not expression.free_symbols and not isinstance(expression, Comparison):
        if isinstance(expression, sympy.Rational):
            return expression
        with mpmath.workdps(50):
            return sympy.Float(exact_value(expression, {}), 30)
    return expression.func(*(_numbers(argument) for argument in expression.args))


def factors_in_order(product: sympy.Expr) -> list[sympy.Expr]:
    """The factors of a product in the order in which code should multiply them.

    Small ones first: where x is 3e38, 2*x*exp(-x**2) would be inf * 0, and x*exp(-x**2)*2 is 0.
    """
    return sorted(sympy.Mul.make_args(product), key=_size)


def _size(factor: sympy.Expr) -> int:
    if factor.is_number:
        return 4 if factor != -1 else 0
    base = factor.base if isinstance(factor, sympy.Pow) else factor
    if isinstance(base, _BOUNDED):
        return 0
    if base == X:
        return 3
    return 2 if isinstance(base, Maximum | Minimum | Absolute) else 1


def _let_nan_through(expression: sympy.Expr) -> sympy.Expr:
    return Where(IsNan(X), X, expression) if expression.has(Where, Sign) else expression


def _temporaries(inputs: tuple[str, ...]) -> Iterator[sympy.Symbol]:
    number = 0
    while True:
        if f"t{number}" not in inputs:
            yield sympy.Symbol(f"t{number}")
        number += 1
