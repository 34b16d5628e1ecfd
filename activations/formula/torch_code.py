"""Programs as PyTorch functions.

- The source is generated once for each formula and compiled by Python; it is made from a checked
  expression tree, never from what a user typed, and it can be read (`torch_source`).
- Backward evaluates the derived derivatives; autograd never sees the formula, because autograd
  through `torch.where` turns an overflow in the branch not taken into NaN.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import sympy
import torch
from torch import Tensor

from activations.formula.printer import PythonPrinter, python_source
from activations.formula.program import Program


class TorchPrinter(PythonPrinter):
    """PyTorch over the functions of `_NAMESPACE`."""

    names: Mapping[str, str] = {"max": "maximum", "min": "minimum"}

    def branches(self, yes: sympy.Expr, no: sympy.Expr) -> tuple[str, str]:
        """Of two numbers torch.where would make float32, whatever x is."""
        first, second = super().branches(yes, no)
        return (f"constant({first}, x)" if yes.is_number and no.is_number else first), second

    def choose(self, condition: str, yes: str, no: str) -> str:
        """torch.where."""
        return f"where({condition}, {yes}, {no})"

    def power(self, base: sympy.Expr, exponent: int) -> str:
        """Torch has its own, which binds closer than a minus."""
        code = self.expression(base)
        return f"({code})**{exponent}" if code.startswith("-") else f"{code}**{exponent}"


def torch_source(program: Program, *, name: str = "formula") -> str:
    """Python source of one function of the program's inputs that returns a tuple of its outputs.

    A derivative that does not depend on any input comes out as a Python number.
    """
    return python_source(program, TorchPrinter, name)


def compile_torch(program: Program) -> Callable[..., tuple[Any, ...]]:
    """The function whose source is `torch_source(program)`."""
    space: dict[str, Any] = dict(_NAMESPACE)
    exec(compile(torch_source(program), "<formula>", "exec"), space)
    return cast(Callable[..., tuple[Any, ...]], space["formula"])


def differentiable(
    value: Program, derivatives: Program, slope: Callable[[str], Callable[..., Tensor]]
) -> Callable[..., Tensor]:
    """A torch function `(x, *parameters) -> Tensor` whose backward is the second program.

    value: a program with the one output `value`; derivatives: one with an output for x and for each
    parameter in turn; slope: the derivative by an input of that name, itself as such a function: it
    is asked for where backward has to be differentiated again, and where a derivative is carried
    forward. The parameters broadcast against x; their gradients are summed over what was broadcast.
    """
    forward_code = compile_torch(value)
    backward_code = compile_torch(derivatives)
    names = value.inputs

    class Activation(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*inputs: Tensor) -> Tensor:
            result = forward_code(*inputs)[0]
            if not isinstance(result, Tensor):  # a slope that is the same everywhere
                result = torch.full_like(inputs[0], result)
            if result.shape != inputs[0].shape:  # a slope may be one parameter alone
                shape = torch.broadcast_tensors(*inputs)[0].shape  # type: ignore[no-untyped-call]
                return result.expand(shape).clone()
            return result.clone() if any(result is each for each in inputs) else result

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
            inputs: Sequence[Tensor] = ctx.saved_tensors
            needed = ctx.needs_input_grad
            if torch.is_grad_enabled():  # somebody differentiates this again
                wanted = zip(names, needed, strict=True)
                slopes = tuple(slope(name)(*inputs) if need else 0.0 for name, need in wanted)
            else:
                slopes = backward_code(*inputs)
            return tuple(
                _sum_to(gradients[0] * slope, tensor) if need else None
                for slope, tensor, need in zip(slopes, inputs, needed, strict=True)
            )

        @staticmethod
        def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
            inputs: Sequence[Tensor] = ctx.saved_tensors
            parts = [
                slope(name)(*inputs) * tangent
                for name, tangent in zip(names, tangents, strict=True)
                if tangent is not None
            ]
            return sum(parts[1:], parts[0])

    def activation(x: Tensor, *parameters: Tensor) -> Tensor:
        if len(parameters) != len(names) - 1:
            raise ValueError(
                f"takes x and {len(names) - 1} parameters {names[1:]}, got {len(parameters)}"
            )
        return cast(Tensor, Activation.apply(x, *parameters))  # type: ignore[no-untyped-call]

    return activation


def _sum_to(gradient: Tensor, like: Tensor) -> Tensor:
    return gradient if gradient.shape == like.shape else gradient.sum_to_size(like.shape)


def _where(condition: Tensor, u: Tensor | float, v: Tensor | float) -> Tensor:
    return torch.where(condition, u, v)


def _maximum(u: Tensor | float, v: Tensor | float) -> Tensor:
    if isinstance(v, Tensor) and isinstance(u, Tensor):
        return torch.maximum(u, v)
    return torch.clamp_min(u, v) if isinstance(u, Tensor) else torch.clamp_min(cast(Tensor, v), u)


def _minimum(u: Tensor | float, v: Tensor | float) -> Tensor:
    if isinstance(v, Tensor) and isinstance(u, Tensor):
        return torch.minimum(u, v)
    return torch.clamp_max(u, v) if isinstance(u, Tensor) else torch.clamp_max(cast(Tensor, v), u)


def _softplus(u: Tensor) -> Tensor:
    # beyond 40 softplus(u) is u to the last bit of a double; torch's own threshold of 20 is not
    return torch.nn.functional.softplus(u, threshold=40.0)


_NAMESPACE: dict[str, Any] = {
    "__builtins__": {"__import__": __import__},  # torch itself imports from where it is called
    "maximum": _maximum,
    "minimum": _minimum,
    "softplus": _softplus,
    "where": _where,
    "constant": lambda value, like: like.new_full((), value),
    "float": float,
} | {
    name: getattr(torch, name)
    for name in (
        "abs", "atan", "cos", "erf", "exp", "expm1", "log", "log1p", "sigmoid", "sign",
        "sin", "sqrt", "tanh",
    )
}  # fmt: skip
