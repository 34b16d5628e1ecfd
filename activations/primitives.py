"""The functions a formula may be made of: few, numerically stable, and opaque to SymPy.

- SymPy must never rewrite a formula behind our back: its own `tanh` or `Piecewise` turn into forms that overflow, its `Max`
  differentiates to `Heaviside`. So each primitive is a class of our own that SymPy can only carry around; Add, Mul and
  Pow with an integer exponent stay SymPy's.
- Derivatives choose a side at a kink, and never multiply by a zero that could meet an infinity: the derivative of
  `max(u, v)` is `where(u > v, u', v')`.
- Every primitive is written down once here with its exact value (mpmath) and its LaTeX; torch, C and Triton spell it in
  their own printers, by `text_name`.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import mpmath
import sympy

Exact = Any  # an mpmath number; mpmath has no types


class Primitive(sympy.Function):
    """A scalar function that SymPy neither evaluates nor rewrites.

    `text_name` is how it is written in a formula, `exact` its value in mpmath arithmetic, and `template` its LaTeX, with
    one `{}` for each argument.
    """

    text_name: ClassVar[str]
    template: ClassVar[str]

    @staticmethod
    def exact(*arguments: Exact) -> Exact:
        """Its value in mpmath arithmetic, at mpmath's working precision."""
        raise NotImplementedError

    @classmethod
    def _should_evalf(cls, argument: sympy.Expr) -> int:
        return -1  # a Float among the arguments is no reason to evaluate

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        body = self.template.format(*(printer._print(argument) for argument in self.args))
        return body if exp is None else rf"\left({body}\right)^{{{exp}}}"


class Exp(Primitive):
    nargs = 1
    text_name = "exp"
    template = r"e^{{{}}}"
    exact = staticmethod(mpmath.exp)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return self


class Expm1(Primitive):
    nargs = 1
    text_name = "expm1"
    template = r"\left(e^{{{}}} - 1\right)"
    exact = staticmethod(mpmath.expm1)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return self + 1  # shares the exponential with the value


class Log(Primitive):
    nargs = 1
    text_name = "log"
    template = r"\ln\left({}\right)"
    exact = staticmethod(mpmath.log)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 1 / self.args[0]


class Log1p(Primitive):
    nargs = 1
    text_name = "log1p"
    template = r"\ln\left(1 + {}\right)"
    exact = staticmethod(mpmath.log1p)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 1 / (1 + self.args[0])


class Sin(Primitive):
    nargs = 1
    text_name = "sin"
    template = r"\sin\left({}\right)"
    exact = staticmethod(mpmath.sin)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return Cos(self.args[0])


class Cos(Primitive):
    nargs = 1
    text_name = "cos"
    template = r"\cos\left({}\right)"
    exact = staticmethod(mpmath.cos)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return -Sin(self.args[0])


class Tanh(Primitive):
    nargs = 1
    text_name = "tanh"
    template = r"\tanh\left({}\right)"
    exact = staticmethod(mpmath.tanh)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 1 - self**2


class Atan(Primitive):
    nargs = 1
    text_name = "atan"
    template = r"\arctan\left({}\right)"
    exact = staticmethod(mpmath.atan)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 1 / (1 + self.args[0] ** 2)


class Erf(Primitive):
    nargs = 1
    text_name = "erf"
    template = r"\mathrm{{erf}}\left({}\right)"
    exact = staticmethod(mpmath.erf)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 2 / Sqrt(sympy.pi) * Exp(-(self.args[0] ** 2))


class Sigmoid(Primitive):
    nargs = 1
    text_name = "sigmoid"
    template = r"\sigma\left({}\right)"

    @staticmethod
    def exact(u: Exact) -> Exact:
        return 1 / (1 + mpmath.exp(-u))

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return self * (1 - self)


class Softplus(Primitive):
    nargs = 1
    text_name = "softplus"
    template = r"\mathrm{{softplus}}\left({}\right)"

    @staticmethod
    def exact(u: Exact) -> Exact:
        return max(u, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(u)))

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return Sigmoid(self.args[0])


class Sqrt(Primitive):
    nargs = 1
    text_name = "sqrt"
    template = r"\sqrt{{{}}}"
    exact = staticmethod(mpmath.sqrt)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.Rational(1, 2) / self


class Absolute(Primitive):
    nargs = 1
    text_name = "abs"
    template = r"\left|{}\right|"
    exact = staticmethod(mpmath.fabs)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return Sign(self.args[0])


class Sign(Primitive):
    """-1, 0 or 1; its derivative is taken as 0 everywhere."""

    nargs = 1
    text_name = "sign"
    template = r"\mathrm{{sgn}}\left({}\right)"
    exact = staticmethod(mpmath.sign)

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.Integer(0)


class Comparison(Primitive):
    """A condition for `where`; true or false, not a number."""

    nargs = 2

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        return sympy.Integer(0)


class Less(Comparison):
    text_name = "lt"
    template = "{} < {}"

    @staticmethod
    def exact(u: Exact, v: Exact) -> Exact:
        return u < v


class LessEqual(Comparison):
    text_name = "le"
    template = r"{} \le {}"

    @staticmethod
    def exact(u: Exact, v: Exact) -> Exact:
        return u <= v


class Greater(Comparison):
    text_name = "gt"
    template = "{} > {}"

    @staticmethod
    def exact(u: Exact, v: Exact) -> Exact:
        return u > v


class GreaterEqual(Comparison):
    text_name = "ge"
    template = r"{} \ge {}"

    @staticmethod
    def exact(u: Exact, v: Exact) -> Exact:
        return u >= v


class IsNan(Comparison):
    """True for NaN. Only programs use it: it lets a NaN through a `where` that would swallow it."""

    nargs = 1
    text_name = "isnan"
    template = r"{}\ \text{{is NaN}}"
    exact = staticmethod(mpmath.isnan)


class Maximum(Primitive):
    """The larger of two; NaN if either is. At a tie the second argument has the derivative."""

    nargs = 2
    text_name = "max"
    template = r"\max\left({}, {}\right)"

    @staticmethod
    def exact(u: Exact, v: Exact) -> Exact:
        return u if u > v else v

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        u, v = self.args
        return Where(Greater(u, v), u.diff(symbol), v.diff(symbol))


class Minimum(Primitive):
    """The smaller of two; NaN if either is. At a tie the first argument has the derivative."""

    nargs = 2
    text_name = "min"
    template = r"\min\left({}, {}\right)"

    @staticmethod
    def exact(u: Exact, v: Exact) -> Exact:
        return u if u <= v else v

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        u, v = self.args
        return Where(LessEqual(u, v), u.diff(symbol), v.diff(symbol))


class Where(Primitive):
    """`where(condition, u, v)`: u where the condition holds, else v; the other branch may be anything, even NaN."""

    nargs = 3
    text_name = "where"
    template = r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}"

    @classmethod
    def eval(cls, condition: sympy.Expr, u: sympy.Expr, v: sympy.Expr) -> sympy.Expr | None:
        return u if u == v else None

    @staticmethod
    def exact(condition: bool, u: Exact, v: Exact) -> Exact:
        return u if condition else v

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        condition, u, v = self.args
        return Where(condition, u.diff(symbol), v.diff(symbol))


FUNCTIONS: dict[str, type[Primitive]] = {
    primitive.text_name: primitive
    for primitive in (
        Absolute, Atan, Cos, Erf, Exp, Expm1, Log, Log1p, Maximum, Minimum, Sigmoid, Sign, Sin, Softplus, Sqrt, Tanh, Where
    )
}  # fmt: skip
"""What a formula may call, by the name it is written with."""

COMPARISONS: dict[str, type[Comparison]] = {
    "<": Less,
    "<=": LessEqual,
    ">": Greater,
    ">=": GreaterEqual,
}
"""What may stand first in a `where`, by its sign."""


def exact_value(expression: sympy.Expr, values: dict[sympy.Symbol, Exact]) -> Exact:
    """The expression's value in mpmath arithmetic at mpmath's working precision; NaN outside its domain.

    values: an mpmath number for each symbol in it. `where` evaluates only the branch it takes.
    """
    if isinstance(expression, sympy.Symbol):
        return values[expression]
    if isinstance(expression, sympy.Rational):
        return mpmath.mpf(int(expression.p)) / int(expression.q)
    if expression is sympy.pi:
        return +mpmath.pi
    if isinstance(expression, Where):
        condition, u, v = expression.args
        return exact_value(u if exact_value(condition, values) else v, values)
    arguments = [exact_value(argument, values) for argument in expression.args]
    if isinstance(expression, sympy.Add):
        return mpmath.fsum(arguments)
    if isinstance(expression, sympy.Mul):
        return mpmath.fprod(arguments)
    if isinstance(expression, sympy.Pow):
        base, exponent = arguments[0], int(expression.exp)
        return mpmath.nan if base == 0 and exponent < 0 else base**exponent
    if isinstance(expression, Primitive):
        function: Callable[..., Exact] = type(expression).exact
        if isinstance(expression, Log | Log1p | Sqrt) and not _in_domain(expression, arguments[0]):
            return mpmath.nan
        return function(*arguments)
    raise TypeError(f"no exact value for {type(expression).__name__}")


def _in_domain(expression: Primitive, u: Exact) -> bool:
    if isinstance(expression, Sqrt):
        return bool(u >= 0)
    return bool(u > (-1 if isinstance(expression, Log1p) else 0))
