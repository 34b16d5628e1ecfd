"""Derivatives as selections rather than as sums of zeros.

- SymPy's product rule leaves `a*where(x <= 0, 1, 0) + where(x > 0, 1, 0)`; a kernel computes
  `where(x > 0, 1, a)` in half the operations, and a person reads it.
- Moving a factor into the branch that needs it also removes the products of a zero and an overflow.
"""

from collections.abc import Iterable
from typing import Any

import sympy

from activations.formula.primitives import Comparison, Greater, GreaterEqual, Less, LessEqual, Where

_OPPOSITE: dict[type[Comparison], type[Comparison]] = {
    Greater: LessEqual,
    LessEqual: Greater,
    Less: GreaterEqual,
    GreaterEqual: Less,
}


def derivative(expression: sympy.Expr, name: str) -> sympy.Expr:
    """The derivative by a symbol; at a kink the side that the primitives choose."""
    return _select(expression.diff(sympy.Symbol(name)))


def count_parts(expression: sympy.Expr) -> int:
    """How many operations, symbols and numbers an expression has where it is written out."""
    return _count(expression, {})


def expect_parts(expression: sympy.Expr, name: str) -> int:
    """About how many parts the derivative by a symbol would have, without making it.

    A product of n factors becomes a sum of n products: 300 of them make 90,000.
    """
    return _expect(expression, sympy.Symbol(name), {}, {})


def _count(expression: sympy.Expr, known: dict[sympy.Expr, int]) -> int:
    if expression not in known:
        known[expression] = 1 + sum(_count(part, known) for part in expression.args)
    return known[expression]


def _expect(
    expression: sympy.Expr, by: sympy.Expr, known: dict[sympy.Expr, int], sizes: dict[Any, int]
) -> int:
    if not expression.args:
        return int(expression == by)
    if expression not in known:
        inner = [_expect(part, by, known, sizes) for part in expression.args]
        depend = sum(map(bool, inner))
        if isinstance(expression, sympy.Add) or not depend:
            others = 0
        elif isinstance(expression, sympy.Mul):  # each of them beside all others
            others = depend * _count(expression, sizes)
        else:  # the slope of a function is made of what is inside it, mostly twice
            others = 2 * _count(expression, sizes)
        known[expression] = depend and sum(inner) + others
    return known[expression]


def _select(expression: sympy.Expr) -> sympy.Expr:
    if expression.is_Atom:
        return expression
    arguments = [_select(argument) for argument in expression.args]
    if isinstance(expression, sympy.Mul):
        return _product(arguments)
    if isinstance(expression, sympy.Add):
        return _sum(arguments)
    return expression.func(*arguments)


def _product(factors: list[sympy.Expr]) -> sympy.Expr:
    """a*where(c, u, 0) is where(c, a*u, 0), and a*where(c, 0, v) is where(c, 0, a*v)."""
    for position, factor in enumerate(factors):
        if isinstance(factor, Where) and sympy.S.Zero in factor.args[1:]:
            condition, u, v = factor.args
            others = factors[:position] + factors[position + 1 :]
            inner = _product([*others, v if u == 0 else u])
            return Where(condition, 0, inner) if u == 0 else Where(condition, inner, 0)
    return sympy.Mul(*factors)


def _sum(terms: list[sympy.Expr]) -> sympy.Expr:
    """where(c, u, 0) + where(not c, v, 0) is where(c, u, v)."""
    parts: dict[sympy.Expr, tuple[list[sympy.Expr], list[sympy.Expr]]] = {}
    others: list[sympy.Expr] = []
    for term in terms:
        if not (isinstance(term, Where) and sympy.S.Zero in term.args[1:]):
            others.append(term)
            continue
        condition, u, v = term.args
        opposite = _OPPOSITE[type(condition)](*condition.args)
        if opposite in parts:
            condition, u, v = opposite, v, u
        yes, no = parts.setdefault(condition, ([], []))
        yes.append(u)
        no.append(v)
    selections = [Where(c, _select_sum(yes), _select_sum(no)) for c, (yes, no) in parts.items()]
    return sympy.Add(*others, *selections)


def _select_sum(terms: Iterable[sympy.Expr]) -> sympy.Expr:
    return _sum([part for term in terms for part in sympy.Add.make_args(term)])
