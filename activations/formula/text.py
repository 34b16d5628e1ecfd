"""Expressions back to text, so that what is stored, hashed or shown can be typed in again.

- `parse(to_text(e))` is `e` again: products are printed as one chain of * and /, which the parser
  collects before it multiplies, because SymPy distributes a number over a sum only when there are
  no other factors.
- Numbers that are short decimals are printed as decimals (0.044715), others as fractions (1/3).
"""

from decimal import Decimal

import sympy

from activations.formula.primitives import COMPARISONS, Comparison, Maximum, Minimum, Primitive

_SUM, _PRODUCT, _POWER, _ATOM = range(4)
_SIGNS = {comparison: sign for sign, comparison in COMPARISONS.items()}


def to_text(expression: sympy.Expr) -> str:
    """The expression as a formula's text, without its parameters' values."""
    return _write(expression)[0]


def to_latex(expression: sympy.Expr) -> str:
    r"""LaTeX without `$`; long fractions as decimals, symbols called alpha, beta … as Greek
    letters.
    """
    return str(sympy.latex(_as_decimals(expression)))


def _as_decimals(expression: sympy.Expr) -> sympy.Expr:
    if isinstance(expression, sympy.Rational):
        return expression if expression.q <= 16 else sympy.Float(expression, 17)
    if expression.is_Atom:
        return expression
    return expression.func(*map(_as_decimals, expression.args))


def _write(expression: sympy.Expr) -> tuple[str, int]:
    """The text and how tightly its outermost operator binds."""
    if isinstance(expression, sympy.Symbol):
        return str(expression.name), _ATOM
    if expression is sympy.pi:
        return "pi", _ATOM
    if isinstance(expression, sympy.Rational):
        return _number(expression)
    if isinstance(expression, sympy.Add):
        return _sum(expression), _SUM
    if isinstance(expression, sympy.Mul) or (
        isinstance(expression, sympy.Pow) and expression.exp.is_negative
    ):
        return _product(expression), _PRODUCT
    if isinstance(expression, sympy.Pow):
        return f"{_within(expression.base, _ATOM)}**{expression.exp}", _POWER
    if isinstance(expression, Comparison) and type(expression) in _SIGNS:
        left, right = (to_text(argument) for argument in expression.args)
        return f"{left} {_SIGNS[type(expression)]} {right}", _SUM
    if isinstance(expression, Minimum) and isinstance(expression.args[0], Maximum):
        bounded, high = expression.args
        return f"clamp({', '.join(map(to_text, (*bounded.args, high)))})", _ATOM
    if isinstance(expression, Primitive):
        return f"{expression.text_name}({', '.join(map(to_text, expression.args))})", _ATOM
    raise TypeError(f"cannot write a {type(expression).__name__} as text")


def _within(expression: sympy.Expr, needed: int) -> str:
    text, binding = _write(expression)
    return text if binding >= needed and not text.startswith("-") else f"({text})"


def _number(value: sympy.Rational) -> tuple[str, int]:
    p, q = int(value.p), int(value.q)
    if q == 1:
        return _short(str(p)), _ATOM
    decimal = Decimal(p) / Decimal(q)
    if Decimal(decimal) * q == p and len(decimal.as_tuple().digits) <= 17:
        return _short(str(decimal)), _ATOM
    return f"{p}/{q}", _PRODUCT


def _short(digits: str) -> str:
    """1e+30 and 0.01 rather than thirty zeros; the same number when read as an exact decimal."""
    scientific = f"{Decimal(digits).normalize():e}"
    return scientific if len(scientific) < len(digits) - 4 else digits


def _sum(expression: sympy.Add) -> str:
    pieces: list[str] = []
    for term in expression.as_ordered_terms():
        text, binding = _write(term)
        if binding == _SUM:
            text = f"({text})"
        if not pieces:
            pieces.append(text)
        elif text.startswith("-"):
            pieces += ["-", text[1:]]
        else:
            pieces += ["+", text]
    return " ".join(pieces)


def _product(expression: sympy.Expr) -> str:
    coefficient, rest = expression.as_coeff_Mul()
    sign = "-" if coefficient.is_negative else ""
    above: list[str] = []
    below: list[str] = []
    text, binding = _number(abs(coefficient))
    if binding == _PRODUCT:
        above, below = (
            ([] if coefficient.p in (1, -1) else [str(abs(coefficient.p))]),
            [str(coefficient.q)],
        )
    elif text != "1":
        above = [text]
    for factor in sympy.Mul.make_args(rest):
        if isinstance(factor, sympy.Pow) and factor.exp.is_negative:
            below.append(_within(1 / factor, _POWER))
        else:
            above.append(_within(factor, _POWER))
    return sign + "*".join(above or ["1"]) + "".join(f"/{factor}" for factor in below)
