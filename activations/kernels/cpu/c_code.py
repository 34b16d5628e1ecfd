"""The C of a cell's three activations, which the CPU kernel inlines into its loop."""

import struct
from collections.abc import Sequence

import sympy

from activations.formula.primitives import Comparison, IsNan, Primitive
from activations.formula.printer import Printer
from activations.formula.program import Program
from activations.kernels.cell import SITES, Cell


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
