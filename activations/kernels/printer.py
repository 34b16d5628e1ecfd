"""Code for the kernels, written from a formula's program.

- A kernel needs three activations inlined into its loop, each as a value and as a value with all
  its slopes; nobody writes these by hand.
- `Printer` knows SymPy and nothing of a language; a language is a subclass of a few short methods,
  so that C and Triton read alike and cannot disagree about the order of operations, which decides
  what overflows.
- Parameters are arguments and never part of the code: learning must not compile.
"""

import struct
from collections.abc import Sequence

import sympy

from activations.formula.primitives import Comparison, IsNan, Primitive, Where
from activations.formula.program import Program, factors_in_order
from activations.kernels.cell import SITES, Cell


class Printer:
    """A program as lines of code. Subclasses give the words of a language.

    inputs: what stands for each of the program's inputs in the code, by name.
    """

    def __init__(self, program: Program, inputs: dict[str, str]) -> None:
        self.program = program
        self.lines: list[str] = []
        self._names = dict(inputs)
        self._added = 0
        for symbol, step in program.steps:
            condition = program.is_condition(step)
            self.lines.append(self.assign(symbol.name, self.expression(step), condition=condition))
            self._names[symbol.name] = symbol.name
        self.outputs = [self.argument(output) for output in program.outputs]

    def number(self, value: float) -> str:
        """A constant beside a variable in a sum or product."""
        raise NotImplementedError

    def constant(self, value: float) -> str:
        """A constant alone, where the language may want it as wide as x."""
        return self.number(value)

    def assign(self, name: str, code: str, *, condition: bool) -> str:
        """A line that names the value of `code`."""
        raise NotImplementedError

    def call(self, function: type[Primitive], arguments: Sequence[sympy.Expr]) -> str:
        """A primitive other than a comparison and `where`."""
        raise NotImplementedError

    def compare(self, function: type[Comparison], arguments: Sequence[str]) -> str:
        """A condition (lt le gt ge isnan)."""
        raise NotImplementedError

    def choose(self, condition: str, yes: str, no: str) -> str:
        """Yes where the condition holds, else no."""
        raise NotImplementedError

    def argument(self, expression: sympy.Expr) -> str:
        """Code of a whole argument, without parentheses around it."""
        if expression.is_number:
            return self.constant(float(expression))
        code = self.expression(expression)
        return code[1:-1] if code.startswith("(") and expression.args else code

    def expression(self, expression: sympy.Expr) -> str:
        """Code of one expression; a sum or product comes in parentheses."""
        if isinstance(expression, sympy.Symbol):
            return self._names[expression.name]
        if isinstance(expression, sympy.Rational | sympy.Float):
            return self.number(float(expression))
        if isinstance(expression, sympy.Add):
            terms = map(self.expression, expression.as_ordered_terms())
            return f"({' + '.join(terms)})".replace("+ -", "- ")
        if isinstance(expression, sympy.Mul | sympy.Pow):
            return self._product(expression)
        if isinstance(expression, Comparison):
            return self.compare(type(expression), list(map(self.argument, expression.args)))
        if isinstance(expression, Where):
            condition, yes, no = expression.args
            choice = self.argument(yes), self.argument(no)
            return self.choose(self.expression(condition), *choice)
        if isinstance(expression, Primitive):
            return self.call(type(expression), expression.args)
        raise TypeError(f"no code for {type(expression).__name__}")

    def _product(self, expression: sympy.Expr) -> str:
        above: list[str] = []
        below: list[str] = []
        sign = ""
        for factor in factors_in_order(expression):
            if factor == -1:
                sign = "-"
                continue
            base, exponent = factor.as_base_exp() if isinstance(factor, sympy.Pow) else (factor, 1)
            code = self._power(base, abs(int(exponent)))
            (above if exponent > 0 else below).append(code)
        top = " * ".join(above) or self.number(1.0)
        product = f"{top}{''.join(f' / {each}' for each in below)}"
        if sign:
            return f"-({product})" if len(above) + len(below) > 1 else f"-{product}"
        return product if product.isidentifier() else f"({product})"

    def _power(self, base: sympy.Expr, exponent: int) -> str:
        if exponent == 1:
            return self.expression(base)
        atom = self.expression(base)
        if not isinstance(base, sympy.Symbol):
            atom = self._name(atom)
        # square and multiply, so that x**8 takes three products
        squares = [atom]
        while 1 << len(squares) <= exponent:
            squares.append(self._name(f"{squares[-1]} * {squares[-1]}"))
        factors = [s for i, s in enumerate(squares) if exponent >> i & 1]
        return factors[0] if len(factors) == 1 else f"({' * '.join(factors)})"

    def _name(self, code: str) -> str:
        name = f"s{self._added}"
        self._added += 1
        self.lines.append(self.assign(name, code, condition=False))
        return name


class CPrinter(Printer):
    """C over the vectors and functions of vmath.h."""

    def number(self, value: float) -> str:
        """Value as a float literal; beyond the range of float it is infinite."""
        try:
            struct.pack("f", value)
        except OverflowError:
            return "INFINITY" if value > 0 else "(-INFINITY)"
        return f"{value!r}f" if value >= 0 else f"({value!r}f)"

    def constant(self, value: float) -> str:
        """A vector with the value in every lane."""
        return f"splat({self.number(value)})"

    def assign(self, name: str, code: str, *, condition: bool) -> str:
        """A declaration; conditions are masks."""
        return f"const {'vm' if condition else 'vf'} {name} = {code};"

    def call(self, function: type[Primitive], arguments: Sequence[sympy.Expr]) -> str:
        """v_NAME(…); a bound that is a number is never NaN: the cheaper at_least, at_most do."""
        name = function.text_name
        numbers = [a for a in arguments if a.is_number]
        if name in ("max", "min") and len(numbers) == 1:
            (other,) = (a for a in arguments if not a.is_number)
            bound = self.number(float(numbers[0]))
            return f"{'at_least' if name == 'max' else 'at_most'}({self.argument(other)}, {bound})"
        return f"v_{name}({', '.join(map(self.argument, arguments))})"

    def compare(self, function: type[Comparison], arguments: Sequence[str]) -> str:
        """lt, le, gt, ge, is_nan."""
        name = "is_nan" if function is IsNan else function.text_name
        return f"{name}({', '.join(arguments)})"

    def choose(self, condition: str, yes: str, no: str) -> str:
        """Both branches are computed; neither can trap."""
        return f"choose({condition}, {yes}, {no})"


def c_source(cell: Cell) -> str:
    """C of a cell's three activations: what gru.c expects to find defined before it."""
    return "\n".join(
        _c_site(site, formula.program(), formula.program(derivatives=True))
        for site, formula in zip(SITES, cell.formulas, strict=True)
    )


def _c_site(site: str, value: Program, gradient: Program) -> str:
    parameters = len(value.inputs) - 1
    inputs = {name: "x" if i == 0 else f"p[{i - 1}]" for i, name in enumerate(value.inputs)}
    forward = CPrinter(value, inputs)
    backward = CPrinter(gradient, inputs)
    slopes = [f"d_p[{i}] = {code};" for i, code in enumerate(backward.outputs[2:])]
    unused = [
        "(void)x;",
        *([] if parameters else ["(void)p;"]),
    ]
    return "\n".join(
        [
            f"#define {site.upper()}_PARAMETERS {parameters}",
            f"INLINE vf {site}_value(vf x, const vf *p)",
            *_body([*unused, *forward.lines, f"return {forward.outputs[0]};"]),
            f"INLINE vf {site}_gradient(vf x, const vf *p, vf *d_x, vf *d_p)",
            *_body(
                [
                    *unused,
                    *([] if parameters else ["(void)d_p;"]),
                    *backward.lines,
                    f"*d_x = {backward.outputs[1]};",
                    *slopes,
                    f"return {backward.outputs[0]};",
                ]
            ),
        ]
    )


def _body(lines: list[str]) -> list[str]:
    return ["{", *(f"    {line}" for line in lines), "}"]
