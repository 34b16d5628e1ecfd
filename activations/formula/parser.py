"""Reading formulas that people type, from the command line or a study file.

- The text may come from anywhere, so nothing is ever evaluated: Python's `ast` parses it, and only
  what is on a short list becomes an expression. No attribute, no name that was not declared, no
  call but the primitives'.
- It must answer quickly: the text's length, its depth, the exponents and the size of its numbers
  are limited before SymPy sees them, since (9**16)**16 is already a large number; and so is what
  its derivatives would come to, before they are made.
- The grammar: `expression; name=value, name=value per unit`, where the expression is over x.
"""

import ast
import difflib
import keyword
import re
import string
from collections.abc import Iterator
from decimal import Decimal, localcontext

import mpmath
import sympy

from activations.errors import InputError
from activations.formula.formula import Formula, Parameter, Scope
from activations.formula.primitives import (
    COMPARISONS,
    FUNCTIONS,
    Comparison,
    Primitive,
    exact_value,
)
from activations.formula.slopes import expect_parts
from activations.formula.text import to_text
from activations.wording import counted

MAX_LENGTH = 2000
MAX_DEPTH = 50
MAX_EXPONENT = 16
MAX_BITS = 512  # of a numerator or denominator: 1e30 has 100
MAX_PARAMETERS = 32
MAX_DERIVATIVE = 20_000  # parts of all derivatives: about 80 factors in one product

_PRINTABLE = set(string.printable) - set("\x0b\x0c")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,23}")
_NUMBER = re.compile(r"(?=.{1,40}$)(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_PARAMETER = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*([-+.\deE]+)(\s+per\s+(\w+))?\s*", re.ASCII)
_OPERATORS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def parse(text: str) -> Formula:
    """The formula that a text such as `max(x,0)+a*min(x,0); a=0.25` describes; its name is its own
    canonical text.

    Functions: abs atan cos erf exp expm1 log log1p max min sigmoid sign sin softplus sqrt tanh,
    clamp(u, low, high) and where(u < v, then, otherwise). Numbers, pi, + - * /, and ** with a whole
    exponent up to 16. A parameter is one number for a layer, or with `per unit` one for each unit.
    Raises InputError, one line that names the place and the remedy.
    """
    shown = _shorten(text)
    if len(text) > MAX_LENGTH:
        raise InputError(
            f"formula {shown} has {len(text):,} characters; at most {MAX_LENGTH:,} are read"
        )
    if odd := sorted(set(text) - _PRINTABLE):
        raise InputError(
            f"formula {shown} has the character {odd[0]!a}; write it in ASCII (beta for β, * for ·)"
        )
    body, _, declarations = " ".join(text.split()).partition(";")
    parameters = tuple(_read_parameters(declarations, shown))
    reader = _Reader(shown, {parameter.name for parameter in parameters})
    expression = reader.read(body)
    _check(expression, parameters, shown)
    formula = Formula(name="", expression=expression, parameters=parameters)
    return Formula(name=formula.text, expression=expression, parameters=parameters)


def looks_like_a_formula(text: str) -> bool:
    """Whether a text is meant as a formula rather than as a name."""
    return any(character in text for character in "()+*/;<> =") or text.strip() == "x"


def _read_parameters(text: str, shown: str) -> Iterator[Parameter]:
    seen: set[str] = set()
    for piece in text.split(",") if text.strip() else []:
        match = _PARAMETER.fullmatch(piece)
        if match is None:
            raise InputError(
                f"formula {shown}: cannot read the parameter {_shorten(piece.strip())}; "
                "write name=number, as in a=0.25"
            )
        name, number, _, unit = match.groups()
        if (
            not _NAME.fullmatch(name)
            or name in FUNCTIONS
            or name in {"x", "pi", "clamp"}
            or keyword.iskeyword(name)
        ):
            raise InputError(
                f"formula {shown}: a parameter cannot be called {_shorten(name)}; use another name"
            )
        if name in seen:
            raise InputError(f"formula {shown}: parameter '{name}' is given twice; remove one")
        if unit not in (None, "unit", "layer"):
            raise InputError(
                f"formula {shown}: '{name}' is per {_shorten(unit)}; write per unit or per layer"
            )
        seen.add(name)
        if len(seen) > MAX_PARAMETERS:
            raise InputError(
                f"formula {shown} has more than {MAX_PARAMETERS} parameters; use fewer"
            )
        try:
            initial = float(number)
        except ValueError:
            initial = float("inf")
        if not abs(initial) < 1e30:
            raise InputError(
                f"formula {shown}: {name}={_shorten(number)} is no usable number; try 0.25"
            )
        scope: Scope = "unit" if unit == "unit" else "layer"
        yield Parameter(name=name, initial=initial, scope=scope)


class _Reader:
    """One expression's way from text through Python's syntax tree to SymPy."""

    def __init__(self, shown: str, parameters: set[str]) -> None:
        self.shown = shown
        self.text = ""
        self.parameters = parameters

    def error(self, problem: str) -> InputError:
        return InputError(f"formula {self.shown}: {problem}")

    def read(self, text: str) -> sympy.Expr:
        if not text.strip():
            raise self.error("there is no expression; write one over x, such as x*sigmoid(x)")
        self.text = text.strip()
        try:
            tree = ast.parse(self.text, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            raise self.error(
                "this is not an expression; see that parentheses and operators match"
            ) from None
        expression = self.number(tree.body, 0)
        if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            raise self.error("it divides by zero")
        return _round_constants(expression)

    def number(self, node: ast.expr, depth: int) -> sympy.Expr:
        if depth > MAX_DEPTH:
            raise self.error(f"it is nested more than {MAX_DEPTH} deep; simplify it")
        match node:
            case ast.Constant():
                result = self.literal(node)
            case ast.Name(id=name):
                result = self.symbol(name)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                result = self.number(operand, depth + 1)
            case ast.UnaryOp(op=ast.USub()) | ast.BinOp(op=ast.Mult() | ast.Div()):
                result = sympy.Mul(*self.factors(node, depth))
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                result = sympy.Add(*self.terms(node, depth))
            case ast.BinOp(op=ast.Pow(), left=left, right=right):
                result = self.power(self.number(left, depth + 1), right)
            case ast.Call():
                result = self.call(node, depth)
            case ast.Compare():
                raise self.error(
                    "a comparison can only stand first in where(u < v, then, otherwise)"
                )
            case _:
                raise self.error(
                    f"{_kind(node)} cannot be used; "
                    f"only arithmetic and {', '.join(sorted(FUNCTIONS))}"
                )
        self.check_size(result, 1)
        return result

    def literal(self, node: ast.Constant) -> sympy.Expr:
        # as it is written: the nearest double of a decimal is often another decimal
        written = self.text[node.col_offset : node.end_col_offset]
        if not _NUMBER.fullmatch(written):
            raise self.error(f"{_shorten(written)} is not a decimal number of at most 40 digits")
        if node.value != 0 and not 1e-30 <= abs(float(written)) <= 1e30:
            raise self.error("numbers must be 0 or between 1e-30 and 1e30")
        return sympy.Rational(written)

    def symbol(self, name: str) -> sympy.Expr:
        if name == "pi":
            return sympy.pi
        if name == "x" or name in self.parameters:
            return sympy.Symbol(name)
        if name in FUNCTIONS:
            raise self.error(f"{name} is a function; write {name}(x)")
        raise self.error(
            f"{_shorten(name, 24)} is not known; "
            "if it is a parameter give its initial value, as in '; a=0.25'"
        )

    def factors(self, node: ast.expr, depth: int) -> list[sympy.Expr]:
        """All factors of a chain of * and / at once: SymPy would distribute 2*(x+1) before it sees
        the next factor.
        """
        if depth > MAX_DEPTH:
            raise self.error(f"it is nested more than {MAX_DEPTH} deep; simplify it")
        found: list[sympy.Expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
            if isinstance(node.op, ast.Mult):
                found += self.factors(node.right, depth + 1)
            else:
                below = self.number(node.right, depth + 1)
                if below.is_zero:
                    raise self.error("it divides by zero")
                found.append(sympy.Pow(below, -1))
            node = node.left
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            found += [*self.factors(node.operand, depth + 1), sympy.Integer(-1)]
        else:
            found.append(self.number(node, depth + 1))
        return found

    def terms(self, node: ast.expr, depth: int) -> list[sympy.Expr]:
        found: list[sympy.Expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            term = self.number(node.right, depth + 1)
            found.append(term if isinstance(node.op, ast.Add) else sympy.Mul(-1, term))
            node = node.left
        return [*found, self.number(node, depth + 1)]

    def power(self, base: sympy.Expr, node: ast.expr) -> sympy.Expr:
        sign = 1
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -sign if isinstance(node.op, ast.USub) else sign
            node = node.operand
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, bool) or not isinstance(value, int) or value > MAX_EXPONENT:
            raise self.error(
                f"an exponent must be a whole number up to {MAX_EXPONENT}; "
                "write sqrt(u), or exp(n*log(u))"
            )
        if base.is_zero and sign < 0:
            raise self.error("it divides by zero")
        self.check_size(base, value)
        return sympy.Pow(base, sign * value)

    def call(self, node: ast.Call, depth: int) -> sympy.Expr:
        if not isinstance(node.func, ast.Name):
            raise self.error("only plain functions can be called, such as tanh(x)")
        name = node.func.id
        if name != "clamp" and name not in FUNCTIONS:
            close = difflib.get_close_matches(name, [*FUNCTIONS, "clamp"], n=1)
            hint = (
                f"did you mean '{close[0]}'?"
                if close
                else f"there are {', '.join(sorted(FUNCTIONS))} and clamp"
            )
            raise self.error(f"no function {_shorten(name, 24)}; {hint}")
        wanted = 3 if name == "clamp" else int(next(iter(FUNCTIONS[name].nargs)))
        if (
            node.keywords
            or len(node.args) != wanted
            or any(isinstance(a, ast.Starred) for a in node.args)
        ):
            raise self.error(f"{name} takes {counted(wanted, 'argument')}")
        if name == "where":
            condition = self.condition(node.args[0], depth + 1)
            return FUNCTIONS["where"](
                condition, *(self.number(a, depth + 1) for a in node.args[1:])
            )
        arguments = [self.number(argument, depth + 1) for argument in node.args]
        if name == "clamp":
            u, low, high = arguments
            return FUNCTIONS["min"](FUNCTIONS["max"](u, low), high)
        return FUNCTIONS[name](*arguments)

    def condition(self, node: ast.expr, depth: int) -> Primitive:
        if (
            not isinstance(node, ast.Compare)
            or len(node.ops) != 1
            or type(node.ops[0]) not in _OPERATORS
        ):
            raise self.error("where needs one comparison first: where(u < v, then, otherwise)")
        left, right = self.number(node.left, depth), self.number(node.comparators[0], depth)
        return COMPARISONS[_OPERATORS[type(node.ops[0])]](left, right)

    def check_size(self, expression: sympy.Expr, exponent: int) -> None:
        for number in expression.atoms(sympy.Rational):
            if max(int(number.p).bit_length(), int(number.q).bit_length()) * exponent > MAX_BITS:
                raise self.error("its numbers get too large; use smaller constants or powers")


def _round_constants(expression: sympy.Expr) -> sympy.Expr:
    """Products of constants, rounded to 17 digits where their fraction is longer: text stays short
    and reads back.
    """
    if isinstance(expression, sympy.Rational):
        if max(int(expression.p).bit_length(), int(expression.q).bit_length()) <= 60:
            return expression
        with localcontext(prec=17):
            return sympy.Rational(str(Decimal(int(expression.p)) / Decimal(int(expression.q))))
    if expression.is_Atom:
        return expression
    return expression.func(*(_round_constants(argument) for argument in expression.args))


def _check(expression: sympy.Expr, parameters: tuple[Parameter, ...], shown: str) -> None:
    symbols = {str(symbol) for symbol in expression.free_symbols}
    if "x" not in symbols:
        raise InputError(f"formula {shown} does not depend on x; an activation must")
    for parameter in parameters:
        if parameter.name not in symbols:
            raise InputError(
                f"formula {shown}: parameter '{parameter.name}' does nothing; remove it"
            )
    for constant in _constants(expression):
        with mpmath.workdps(50):
            value = exact_value(constant, {})
        if not mpmath.isfinite(value):
            raise InputError(
                f"formula {shown}: {_shorten(to_text(constant))} is no number; an activation must "
                "be one for almost every x"
            )
    for power in expression.atoms(sympy.Pow):
        if not power.exp.is_Integer or abs(power.exp) > 4 * MAX_EXPONENT:
            raise InputError(f"formula {shown}: its powers add up to {power.exp}; use smaller ones")
    parts = sum(expect_parts(expression, name) for name in ("x", *(p.name for p in parameters)))
    if parts > MAX_DERIVATIVE:
        raise InputError(
            f"formula {shown}: its derivatives would have {parts:,} parts, and at most "
            f"{MAX_DERIVATIVE:,} are made; multiply fewer factors, or nest less"
        )


def _constants(expression: sympy.Expr) -> Iterator[sympy.Expr]:
    """The largest parts without a symbol, plain numbers left out."""
    if expression.is_Atom:
        return
    if not expression.free_symbols and not isinstance(expression, Comparison):
        yield expression
        return
    for argument in expression.args:
        yield from _constants(argument)


def _kind(node: ast.expr) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()
    words = {
        "bin op": "operator of this kind",
        "unary op": "sign of this kind",
        "bool op": "logical operator",
    }.get(words, words)
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _shorten(text: str, limit: int = 60) -> str:
    plain = "".join(c if c in _PRINTABLE and c >= " " else "?" for c in text)
    return f"'{plain}'" if len(plain) <= limit else f"'{plain[:limit]}…'"
