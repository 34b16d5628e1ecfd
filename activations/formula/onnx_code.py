"""Programs as ONNX operators.

- The source is a Python function that calls `op("Tanh", …)` once for each operator, whoever makes
  the nodes: an exporter that traces, or a test that builds a graph by hand.
- ONNX has no expm1 and no log1p, and runtimes' Sigmoid is exact only relative to 1. They are spelt
  in other operators so that no digit is lost near 0 and nothing overflows far out.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, cast

import sympy

from activations.formula.primitives import Comparison, Primitive
from activations.formula.printer import PythonPrinter, python_source
from activations.formula.program import Program

_OPERATORS = {
    "abs": "Abs", "atan": "Atan", "cos": "Cos", "erf": "Erf", "exp": "Exp", "log": "Log",
    "max": "Max", "min": "Min", "sign": "Sign", "sin": "Sin", "softplus": "Softplus",
    "sqrt": "Sqrt", "tanh": "Tanh", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
    "ge": "GreaterOrEqual", "isnan": "IsNaN",
}  # fmt: skip
CONDITIONS = ("Equal", "Greater", "GreaterOrEqual", "IsNaN", "Less", "LessOrEqual")
"""Operators whose result is true or false."""


class OnnxPrinter(PythonPrinter):
    """ONNX over `op(name, *inputs)` and `constant(value)`."""

    def number(self, value: float) -> str:
        """A tensor without axes."""
        return f"constant({super().number(value)})"

    def call(self, function: type[Primitive], arguments: Sequence[sympy.Expr]) -> str:
        """An operator, or what stands for the three that are missing."""
        name = function.text_name
        if name in ("max", "min"):
            # A number first: onnxscript 0.7.2 makes a Clip of a bound within a bound where the
            # numbers are second, and gives the bounds of two Clips of one value the same names.
            arguments = sorted(arguments, key=lambda each: not each.is_number)
        code = map(self.argument, arguments)
        if name not in _OPERATORS:
            return f"{name}({', '.join(code)})"
        return _op(_OPERATORS[name], *code)

    def compare(self, function: type[Comparison], arguments: Sequence[str]) -> str:
        """A tensor of booleans."""
        return _op(_OPERATORS[function.text_name], *arguments)

    def choose(self, condition: str, yes: str, no: str) -> str:
        """Where."""
        return _op("Where", condition, yes, no)

    def total(self, terms: Sequence[str]) -> str:
        """One Add after another."""
        return reduce(lambda left, right: _op("Add", left, right), terms)

    def product(self, negative: bool, above: Sequence[str], below: Sequence[str]) -> str:
        """Mul, then Div, then Neg."""
        product = reduce(self.times, above or [self.number(1.0)])
        product = reduce(lambda left, right: _op("Div", left, right), below, product)
        return _op("Neg", product) if negative else product

    def times(self, left: str, right: str) -> str:
        """Mul."""
        return _op("Mul", left, right)

    def whole(self, code: str) -> str:
        """A call needs no parentheses."""
        return code


def _op(name: str, *inputs: str) -> str:
    return f"op({name!r}, {', '.join(inputs)})"


def onnx_source(program: Program, *, name: str = "formula") -> str:
    """Python source of one function of the program's inputs that returns a tuple of its outputs."""
    return python_source(program, OnnxPrinter, name)


def compile_onnx(
    program: Program, op: Callable[..., Any], constant: Callable[[float], Any]
) -> Callable[..., tuple[Any, ...]]:
    """The function whose source is `onnx_source(program)`, of whatever `op` takes and returns.

    op: makes the operator of that name of its inputs, with one output. constant: makes a number.
    """

    def sigmoid(u: Any) -> Any:
        one = constant(1.0)
        return op("Div", one, op("Add", one, op("Exp", op("Neg", u))))

    def expm1(u: Any) -> Any:
        # tanh(u/2) = (exp(u) - 1) / (exp(u) + 1)
        half = op("Tanh", op("Mul", u, constant(0.5)))
        return op("Mul", half, op("Add", op("Exp", u), constant(1.0)))

    def log1p(u: Any) -> Any:
        # Kahan's: what 1 + u lost to rounding is given back as a factor
        total = op("Add", constant(1.0), u)
        kept = op("Sub", total, constant(1.0))
        factor = op("Where", op("Equal", kept, u), constant(1.0), op("Div", u, kept))
        logarithm = op("Mul", op("Log", total), factor)
        return op("Where", op("Equal", kept, constant(0.0)), u, logarithm)

    space: dict[str, Any] = {
        "op": op,
        "constant": constant,
        "sigmoid": sigmoid,
        "expm1": expm1,
        "log1p": log1p,
        "float": float,
        "__builtins__": {},
    }
    exec(compile(onnx_source(program), "<formula>", "exec"), space)
    return cast(Callable[..., tuple[Any, ...]], space["formula"])
