"""An activation, written once.

- Everything that is ever computed about an activation follows from one expression over x and its
  parameters: the value, each derivative, the torch function, LaTeX; C and Triton code come from its
  program.
- Formulas travel: between processes, into file names, result files and caches. So a Formula is
  frozen, compares and hashes by content, pickles, and has a text that reads back to the same
  formula.
- A study uses three of seventy formulas: nothing is derived before it is asked for, and then only
  once.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import sympy

from activations.formula.facts import Facts
from activations.formula.program import Program, build_program
from activations.formula.slopes import derivative
from activations.formula.text import to_latex, to_text

if TYPE_CHECKING:  # torch takes two seconds, and to check a formula needs none
    from torch import Tensor

Scope = Literal["layer", "unit"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A learnable number of an activation.

    initial: where training starts. constraint: what the formula itself does to keep the number in
    bounds, in words.
    scope: one number for a whole layer, or one for each of its units.
    """

    name: str
    initial: float
    constraint: str = ""
    scope: Scope = "layer"


@dataclass(frozen=True, kw_only=True)
class Formula:
    """An elementwise activation: an expression over `x` and its parameters' symbols.

    facts: what is known about it; None for a formula that a user typed.
    """

    name: str
    expression: sympy.Expr
    parameters: tuple[Parameter, ...] = ()
    aliases: tuple[str, ...] = ()
    family: str = ""
    source: str = ""
    facts: Facts | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """`x`, then the parameters' names in order."""
        return ("x", *(parameter.name for parameter in self.parameters))

    @property
    def initial(self) -> tuple[float, ...]:
        """The parameters' initial values in order."""
        return tuple(parameter.initial for parameter in self.parameters)

    @cached_property
    def text(self) -> str:
        """The formula as text that `parse` reads back to the same expression and parameters."""
        values = ", ".join(
            f"{p.name}={p.initial!r}{' per unit' if p.scope == 'unit' else ''}"
            for p in self.parameters
        )
        return to_text(self.expression) + (f"; {values}" if values else "")

    @cached_property
    def latex(self) -> str:
        r"""LaTeX of the expression, without `$`; a parameter alpha becomes a Greek letter."""
        return to_latex(self.expression)

    def derivative(self, name: str = "x") -> sympy.Expr:
        """The derivative by `x` or by a parameter, with one side chosen at each kink.

        The larger of two has the slope of the second where they are equal, the smaller that of the
        first, and |x| has slope 0 at 0. Raises ValueError for any other name.
        """
        if name not in self.inputs:
            raise ValueError(f"{self.name} depends on {', '.join(self.inputs)}, not on {name!r}")
        return derivative(self.expression, name)

    def program(self, *, value: bool = True, derivatives: bool = False) -> Program:
        """The formula as straight-line assignments, to write code from.

        Outputs are `value` (if asked for), then the derivatives by x and by each parameter (if
        asked for).
        """
        names = (("value",) if value else ()) + (self.inputs if derivatives else ())
        return build_program(self.inputs, self.expression, names)

    @cached_property
    def torch_function(self) -> "Callable[..., Tensor]":
        """`(x, *parameters) -> Tensor`, differentiable by all of them, as often as one likes.

        The parameters broadcast against x (any shape); all have x's floating type. At a kink each
        derivative is that of the side chosen there. Raises ValueError for a wrong number of
        parameters.
        """
        from activations.formula.torch_code import differentiable

        first = self.program(value=False, derivatives=True)
        return differentiable(self.program(), first, lambda name: self.slope(name).torch_function)

    def slope(self, name: str = "x") -> "Formula":
        """The derivative by `x` or by a parameter as a formula of the same inputs."""
        if name not in self._slopes:
            self._slopes[name] = replace(
                self, name=f"slope of {self.name} by {name}", expression=self.derivative(name)
            )
        return self._slopes[name]

    @cached_property
    def _slopes(self) -> dict[str, "Formula"]:
        return {}

    @property
    def torch_source(self) -> str:
        """Python source that computes the value and every derivative, for reading."""
        from activations.formula.torch_code import torch_source

        return torch_source(self.program(derivatives=True))

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what was derived is derived again where it is needed."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
