"""The functions a formula may be made of: few, numerically stable, and opaque to SymPy.

- SymPy must never rewrite a formula behind our back: its own `tanh` or `Piecewise` turn into forms
  that overflow, its `Max` differentiates to `Heaviside`. So each primitive is a class of our own
  that SymPy can only carry around; Add, Mul and Pow with an integer exponent stay SymPy's.
- Derivatives choose a side at a kink, and never multiply by a zero that could meet an infinity: the
  derivative of `max(u, v)` is `where(u > v, u', v')`.
- Every primitive is written down once here with its exact value (mpmath) and its LaTeX; torch, C
  and Triton spell it in their own printers, by `text_name`.
"""

import operator
from typing import Any, ClassVar

import mpmath
import sympy

Exact = Any  # an mpmath number; mpmath has no types


class Primitive(sympy.Function):
    """A function that SymPy neither evaluates nor rewrites.

    `text_name` is how it is written in a formula; `template` is its LaTeX, with one `{}` for each
    argument; `exact` is its value in mpmath arithmetic, at mpmath's working precision.
    """

    text_name: ClassVar[str]
    template: ClassVar[str]
    exact: ClassVar[Any]

    @classmethod
    def _should_evalf(cls, _: sympy.Expr) -> int:
        return -1  # a Float among the arguments is no reason to evaluate

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """The derivative by the only argument, as SymPy asks for it."""
        if argindex != 1:
            raise sympy.core.function.ArgumentIndexError(self, argindex)
        return self._slope()

    def _slope(self) -> sympy.Expr:
        raise NotImplementedError

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        body = self.template.format(*(printer._print(argument) for argument in self.args))
        return body if exp is None else rf"\left({body}\right)^{{{exp}}}"


class Exp(Primitive):
    """e to the power of u."""

    nargs = 1
    text_name = "exp"
    template = r"e^{{{}}}"
    exact = staticmethod(mpmath.exp)

    def _slope(self) -> sympy.Expr:
        return self


class Expm1(Primitive):
    """exp(u) - 1, exact for small u."""

    nargs = 1
    text_name = "expm1"
    template = r"\left(e^{{{}}} - 1\right)"
    exact = staticmethod(mpmath.expm1)

    def _slope(self) -> sympy.Expr:
        return self + 1  # shares the exponential with the value


class Log(Primitive):
    """The natural logarithm; NaN for a negative number."""

    nargs = 1
    text_name = "log"
    template = r"\ln\left({}\right)"
    exact = staticmethod(mpmath.log)

    def _slope(self) -> sympy.Expr:
        return 1 / self.args[0]


class Log1p(Primitive):
    """log(1 + u), exact for small u."""

    nargs = 1
    text_name = "log1p"
    template = r"\ln\left(1 + {}\right)"
    exact = staticmethod(mpmath.log1p)

    def _slope(self) -> sympy.Expr:
        return 1 / (1 + self.args[0])


class Sin(Primitive):
    """The sine."""

    nargs = 1
    text_name = "sin"
    template = r"\sin\left({}\right)"
    exact = staticmethod(mpmath.sin)

    def _slope(self) -> sympy.Expr:
        return Cos(self.args[0])


class Cos(Primitive):
    """The cosine."""

    nargs = 1
    text_name = "cos"
    template = r"\cos\left({}\right)"
    exact = staticmethod(mpmath.cos)

    def _slope(self) -> sympy.Expr:
        return -Sin(self.args[0])


class Tanh(Primitive):
    """The hyperbolic tangent."""

    nargs = 1
    text_name = "tanh"
    template = r"\tanh\left({}\right)"
    exact = staticmethod(mpmath.tanh)

    def _slope(self) -> sympy.Expr:
        return 1 - self**2


class Atan(Primitive):
    """The arc tangent."""

    nargs = 1
    text_name = "atan"
    template = r"\arctan\left({}\right)"
    exact = staticmethod(mpmath.atan)

    def _slope(self) -> sympy.Expr:
        return 1 / (1 + self.args[0] ** 2)


class Erf(Primitive):
    """The error function."""

    nargs = 1
    text_name = "erf"
    template = r"\mathrm{{erf}}\left({}\right)"
    exact = staticmethod(mpmath.erf)

    def _slope(self) -> sympy.Expr:
        return 2 / Sqrt(sympy.pi) * Exp(-(self.args[0] ** 2))


class Sigmoid(Primitive):
    """1 / (1 + exp(-u))."""

    nargs = 1
    text_name = "sigmoid"
    template = r"\sigma\left({}\right)"
    exact = staticmethod(lambda u: 1 / (1 + mpmath.exp(-u)))

    def _slope(self) -> sympy.Expr:
        return self * (1 - self)


class Softplus(Primitive):
    """log(1 + exp(u)), without overflow."""

    nargs = 1
    text_name = "softplus"
    template = r"\mathrm{{softplus}}\left({}\right)"
    exact = staticmethod(lambda u: max(u, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(u))))

    def _slope(self) -> sympy.Expr:
        return Sigmoid(self.args[0])


class Sqrt(Primitive):
    """The square root; NaN for a negative number."""

    nargs = 1
    text_name = "sqrt"
    template = r"\sqrt{{{}}}"
    exact = staticmethod(mpmath.sqrt)

    def _slope(self) -> sympy.Expr:
        return sympy.Rational(1, 2) / self


class Absolute(Primitive):
    """The absolute value; its slope at 0 is taken as 0."""

    nargs = 1
    text_name = "abs"
    template = r"\left|{}\right|"
    exact = staticmethod(mpmath.fabs)

    def _slope(self) -> sympy.Expr:
        return Sign(self.args[0])


class Sign(Primitive):
    """-1, 0 or 1; its slope is taken as 0 everywhere."""

    nargs = 1
    text_name = "sign"
    template = r"\mathrm{{sgn}}\left({}\right)"
    exact = staticmethod(mpmath.sign)

    def _slope(self) -> sympy.Expr:
        return sympy.Integer(0)


class Comparison(Primitive):
    """A condition for `where`: true or false, not a number."""

    nargs = 2

    def _eval_derivative(self, _: sympy.Symbol) -> sympy.Expr:
        return sympy.Integer(0)


class Less(Comparison):
    """u < v."""

    text_name = "lt"
    template = r"{} < {}"
    exact = staticmethod(operator.lt)


class LessEqual(Comparison):
    """u <= v."""

    text_name = "le"
    template = r"{} \le {}"
    exact = staticmethod(operator.le)


class Greater(Comparison):
    """u > v."""

    text_name = "gt"
    template = r"{} > {}"
    exact = staticmethod(operator.gt)


class GreaterEqual(Comparison):
    """u >= v."""

    text_name = "ge"
    template = r"{} \ge {}"
    exact = staticmethod(operator.ge)


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

    exact = staticmethod(lambda u, v: u if u > v else v)

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        u, v = self.args
        return Where(Greater(u, v), u.diff(symbol), v.diff(symbol))


class Minimum(Primitive):
    """The smaller of two; NaN if either is. At a tie the first argument has the derivative."""

    nargs = 2
    text_name = "min"
    template = r"\min\left({}, {}\right)"

    exact = staticmethod(lambda u, v: u if u <= v else v)

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        u, v = self.args
        return Where(LessEqual(u, v), u.diff(symbol), v.diff(symbol))


class Where(Primitive):
    """`where(condition, u, v)`: u where the condition holds, else v; the other branch may be
    anything, even NaN.
    """

    nargs = 3
    text_name = "where"
    template = r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}"

    @classmethod
    def eval(cls, _: sympy.Expr, u: sympy.Expr, v: sympy.Expr) -> sympy.Expr | None:
        """The branch itself where both are the same."""
        return u if u == v else None

    exact = staticmethod(lambda condition, u, v: u if condition else v)

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        condition, u, v = self.args
        return Where(condition, u.diff(symbol), v.diff(symbol))


FUNCTIONS: dict[str, type[Primitive]] = {
    primitive.text_name: primitive
    for primitive in (
        Absolute, Atan, Cos, Erf, Exp, Expm1, Log, Log1p, Maximum, Minimum, Sigmoid, Sign, Sin,
        Softplus, Sqrt, Tanh, Where
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
    """The expression's value in mpmath arithmetic at mpmath's working precision; NaN outside its
    domain.

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
        if isinstance(expression, Log | Log1p | Sqrt) and not _in_domain(expression, arguments[0]):
            return mpmath.nan
        return type(expression).exact(*arguments)
    raise TypeError(f"no exact value for {type(expression).__name__}")


def _in_domain(expression: Primitive, u: Exact) -> bool:
    if isinstance(expression, Sqrt):
        return bool(u >= 0)
    return bool(u > (-1 if isinstance(expression, Log1p) else 0))
