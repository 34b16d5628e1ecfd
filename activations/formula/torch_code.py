"""Programs as PyTorch functions.

- The source is generated once for each formula and compiled by Python; it is made from a checked
  expression tree, never from what somebody typed, and it can be read (`torch_source`).
- Backward evaluates the derived derivatives; autograd never sees the formula, because autograd
  through `torch.where` turns an overflow in the branch not taken into NaN.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import sympy
import torch
from torch import Tensor

from activations.formula.primitives import (
    Comparison,
    IsNan,
    Maximum,
    Minimum,
    Primitive,
    Softplus,
    Where,
)
from activations.formula.program import Program, factors_in_order

_SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def torch_source(program: Program, *, name: str = "formula") -> str:
    """Python source of one function of the program's inputs that returns a tuple of its outputs.

    A derivative that does not depend on any input comes out as a Python number.
    """
    variables = {
        sympy.Symbol(i): sympy.Symbol(i if i == "x" else f"p_{i}") for i in program.inputs
    }  # a parameter may be called like a function
    lines = [f"def {name}({', '.join(variable.name for variable in variables.values())}):"]
    for symbol, step in program.steps:
        lines.append(f"    {symbol.name} = {_code(step.xreplace(variables))}")
    results = [_strip(_code(output.xreplace(variables))) for output in program.outputs]
    outputs = "".join(f"{result}, " for result in results)
    lines.append(f"    return ({outputs.rstrip()})")
    return "\n".join(lines) + "\n"


def compile_torch(program: Program) -> Callable[..., tuple[Any, ...]]:
    """The function whose source is `torch_source(program)`."""
    space: dict[str, Any] = dict(_NAMESPACE)
    exec(compile(torch_source(program), "<formula>", "exec"), space)
    return cast(Callable[..., tuple[Any, ...]], space["formula"])


def differentiable(value: Program, derivatives: Program) -> Callable[..., Tensor]:
    """A torch function `(x, *parameters) -> Tensor` whose backward is the second program.

    value: a program with the one output `value`; derivatives: one with an output for x and for each
    parameter in turn. The parameters broadcast against x; their gradients are summed over what was
    broadcast.
    """
    forward_code = compile_torch(value)
    backward_code = compile_torch(derivatives)

    class Activation(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*inputs: Tensor) -> Tensor:
            result = forward_code(*inputs)[0]
            return cast(Tensor, result.view_as(result) if result is inputs[0] else result)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
            inputs: Sequence[Tensor] = ctx.saved_tensors
            slopes = backward_code(*inputs)
            return tuple(
                _sum_to(gradients[0] * slope, tensor) if needed else None
                for slope, tensor, needed in zip(slopes, inputs, ctx.needs_input_grad, strict=True)
            )

    inputs = value.inputs

    def activation(x: Tensor, *parameters: Tensor) -> Tensor:
        if len(parameters) != len(inputs) - 1:
            raise ValueError(
                f"takes x and {len(inputs) - 1} parameters {inputs[1:]}, got {len(parameters)}"
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
    "inf": math.inf,
} | {
    name: getattr(torch, name)
    for name in (
        "abs", "atan", "cos", "erf", "exp", "expm1", "isnan", "log", "log1p", "sigmoid", "sign",
        "sin", "sqrt", "tanh",
    )
}  # fmt: skip


def _product(expression: sympy.Expr) -> str:
    """Factors, then divisors; a lone power needs no parentheses."""
    if isinstance(expression, sympy.Pow) and not expression.exp.is_negative:
        return f"{_code(expression.base)}**{expression.exp}"
    above: list[str] = []
    below: list[str] = []
    sign = ""
    for factor in factors_in_order(expression):
        if factor == -1:
            sign = "-"
        elif isinstance(factor, sympy.Pow) and factor.exp.is_negative:
            below.append(_code(1 / factor))
        else:
            above.append(_code(factor))
    return f"({sign}{'*'.join(above) or '1.0'}{''.join(f'/{each}' for each in below)})"


def _strip(code: str) -> str:
    return code[1:-1] if code.startswith("(") and _matches(code) else code


def _matches(code: str) -> bool:
    depth = 0
    for position, character in enumerate(code):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return position == len(code) - 1
    return False


def _code(expression: sympy.Expr) -> str:
    """Python for one expression; anything compound comes in parentheses."""
    if isinstance(expression, sympy.Symbol):
        return str(expression.name)
    if isinstance(expression, sympy.Rational | sympy.Float):
        return repr(float(expression))
    if isinstance(expression, sympy.Add):
        terms = " + ".join(map(_strip, map(_code, expression.as_ordered_terms())))
        return f"({terms})".replace("+ -", "- ")
    if isinstance(expression, sympy.Mul | sympy.Pow):
        return _product(expression)
    if isinstance(expression, Comparison) and not isinstance(expression, IsNan):
        left, right = map(_code, expression.args)
        return f"({left} {_SIGNS[expression.text_name]} {right})"
    if isinstance(expression, Where):
        condition, u, v = expression.args
        branches = [_code(u), _code(v)]
        if u.is_number and v.is_number:  # torch.where of two numbers would be float32
            branches[0] = f"constant({branches[0]}, x)"
        return f"where({_code(condition)}, {', '.join(branches)})"
    names = {Maximum: "maximum", Minimum: "minimum", Softplus: "softplus"}
    name = names.get(type(expression), getattr(expression, "text_name", ""))
    if not isinstance(expression, Primitive):
        raise TypeError(f"no torch code for {type(expression).__name__}")
    return f"{name}({', '.join(_strip(_code(argument)) for argument in expression.args)})"
