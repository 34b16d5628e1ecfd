"""A GRU layer for torch.onnx.export: ONNX's own GRU operator, or a Scan with the formulas.

- ONNX's operator knows eleven activations, the same for both gates. A cell made of these becomes
  that operator, whatever its activations are called here: formulas are compared, not names.
- Any other becomes a Scan whose body holds the formulas as ONNX's operators, written from the same
  program as the kernels (`formula.onnx_code`) and not traced from torch's operations.
- Padding is known by `lengths`; a PackedSequence is nothing that ONNX has.
"""

from collections.abc import Callable
from functools import cache

import sympy
import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan

from activations.formula.formula import Formula
from activations.formula.onnx_code import CONDITIONS, compile_onnx
from activations.formula.parser import parse
from activations.kernels.cell import Cell

# the operator's names, in its words; a is its alpha, b its beta
_OPERATORS = {
    "Relu": "max(x, 0)",
    "Tanh": "tanh(x)",
    "Sigmoid": "sigmoid(x)",
    "Softsign": "x/(1 + abs(x))",
    "Softplus": "softplus(x)",
    "LeakyRelu": "max(x, 0) + a*min(x, 0); a=0.5",
    "Elu": "max(x, 0) + a*expm1(min(x, 0)); a=0.5",
    "ThresholdedRelu": "where(x > a, x, 0); a=0.5",
    "ScaledTanh": "a*tanh(b*x); a=0.5, b=0.5",
    "HardSigmoid": "clamp(a*x + b, 0, 1); a=0.5, b=0.5",
    "Affine": "a*x + b; a=0.5, b=0.5",
}
Named = tuple[str, tuple[float, ...]]  # the operator's name of an activation, its alpha and beta
Weights = tuple[Tensor, Tensor | None, Tensor, Tensor]


@cache
def operators_name(formula: Formula) -> Named | None:
    """What ONNX's GRU operator calls this activation; None where it has no such."""
    if formula.parameters:
        return None
    for name, text in _OPERATORS.items():
        template = parse(text)
        wild = {
            sympy.Symbol(p.name): sympy.Wild(p.name, properties=[_is_number])
            for p in template.parameters
        }
        found = formula.expression.match(template.expression.xreplace(wild))
        if found is not None:
            return name, tuple(float(found[each]) for each in wild.values())
    return None


def _is_number(expression: sympy.Expr) -> bool:
    return bool(expression.is_Rational or expression.is_Float)


def layer(
    x: Tensor,
    weights: Weights,
    cell: Cell,
    parameters: tuple[Tensor, Tensor, Tensor],
    h0: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run one layer: x [T, B, I] -> h [T, B, D·H] and each row's last state [D, B, H].

    weights: w_ih [D, 3H, I], b_ih [D, 3H] or None, w_hh [D, 3H, H], b_hh [D, 3H]; parameters of
    (update, reset, candidate), each [D, P, K]; h0 [D, B, H]; lengths [B].
    """
    # a Scan that autograd looks at cannot be exported with any number of steps
    w_ih, b_ih, w_hh, b_hh = (None if each is None else each.detach() for each in weights)
    assert w_ih is not None
    assert w_hh is not None
    assert b_hh is not None
    b_ih = torch.zeros_like(b_hh) if b_ih is None else b_ih
    h0 = x.new_zeros(len(w_hh), x.shape[1], w_hh.shape[2]) if h0 is None else h0
    gate, candidate = operators_name(cell.update), operators_name(cell.candidate)
    if gate is not None and candidate is not None and gate == operators_name(cell.reset):
        after = cell.reset_order == "after"
        return _operator(x, (w_ih, b_ih, w_hh, b_hh), gate, candidate, after, h0, lengths)
    running = None
    if lengths is not None:
        steps = torch.arange(x.shape[0], device=x.device)
        running = (steps[:, None] < lengths[None])[:, :, None]
    states, final = [], []
    for d in range(len(w_hh)):
        values = [each[d].detach() for each in parameters]
        h, h_n = _scan(
            torch.nn.functional.linear(x, w_ih[d], b_ih[d]),
            w_hh[d], b_hh[d], cell, values, h0[d], running, backward=d == 1,
        )  # fmt: skip
        states.append(h)
        final.append(h_n)
    return torch.cat(states, -1), torch.stack(final)


def _operator(
    x: Tensor,
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
    gate: Named,
    candidate: Named,
    after: bool,
    h0: Tensor,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """ONNX's GRU, whose gates are ordered z, r, n."""
    w_ih, b_ih, w_hh, b_hh = (_reordered(each) for each in weights)
    (T, B, _), (D, _, H) = x.shape, w_hh.shape
    called = [gate, candidate] * D
    numbers = {
        "activation_alpha": [values[0] for _, values in called if len(values) > 0],
        "activation_beta": [values[1] for _, values in called if len(values) > 1],
    }
    attributes: dict[str, int | str | list[str] | list[float]] = {
        "hidden_size": H,
        "direction": "bidirectional" if D == 2 else "forward",
        "linear_before_reset": int(after),
        "activations": [name for name, _ in called],
        **{name: each for name, each in numbers.items() if each},
    }
    sizes = None if lengths is None else lengths.to(torch.int32)
    h, h_n = torch.onnx.ops.symbolic_multi_out(
        "GRU",
        (x, w_ih, w_hh, torch.cat([b_ih, b_hh], 1), sizes, h0),
        attributes,  # type: ignore[arg-type]
        dtypes=(x.dtype, x.dtype),
        shapes=((T, D, B, H), (D, B, H)),
    )
    if lengths is not None:  # onnxruntime 1.32 ends a row without frames at zero
        h_n = torch.where((lengths == 0)[None, :, None], h0, h_n)
    return h.transpose(1, 2).flatten(2), h_n


def _reordered(gates: Tensor) -> Tensor:
    r, z, n = gates.chunk(3, 1)
    return torch.cat([z, r, n], 1)


def _scan(
    gates_x: Tensor,
    w: Tensor,
    b: Tensor,
    cell: Cell,
    parameters: list[Tensor],
    h0: Tensor,
    running: Tensor | None,
    *,
    backward: bool,
) -> tuple[Tensor, Tensor]:
    """One direction: gates_x [T, B, 3H], running [T, B, 1] -> h [T, B, H], last state [B, H]."""
    linear = torch.nn.functional.linear
    update, reset, candidate = (
        _bound(_value(formula, h0.dtype), _apart(values))
        for formula, values in zip(cell.formulas, parameters, strict=True)
    )
    # gate by gate, and cut up out here: within a Scan a size that is cut would be guessed
    w_r, w_z, w_n = (each.clone() for each in w.chunk(3))
    b_r, b_z, b_n = (each.clone() for each in b.chunk(3))
    x_gates = tuple(each.clone() for each in gates_x.chunk(3, 2))

    def step(h: Tensor, given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x_r, x_z, x_n = given[:3]
        r = reset(x_r + linear(h, w_r, b_r))
        z = update(x_z + linear(h, w_z, b_z))
        if cell.reset_order == "after":
            n = candidate(x_n + r * linear(h, w_n, b_n))
        else:
            n = candidate(x_n + linear(r * h, w_n, b_n))
        new = (1 - z) * n + z * h
        if running is None:
            return new, new.clone()
        return torch.where(given[3], new, h), torch.where(given[3], new, 0.0)

    xs = x_gates if running is None else (*x_gates, running)
    last, states = scan(step, h0.clone(), xs, reverse=backward)
    return states, last


def _apart(values: Tensor) -> list[Tensor]:
    """A site's parameters [P, K], each a tensor of its own: a Scan's inputs must not overlap."""
    shape = () if values.shape[1] == 1 else values.shape[1:]
    return [value.clone().view(shape) for value in values.unbind(0)]


def _bound(
    function: Callable[..., tuple[Tensor, ...]], values: list[Tensor]
) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x, *values)[0]


@cache
def _value(formula: Formula, dtype: torch.dtype) -> Callable[..., tuple[Tensor, ...]]:
    """The formula as operators of ONNX, to be traced."""
    # what traces a Scan's body passes by torch.onnx unless told otherwise
    symbolic = torch._dynamo.dont_skip_tracing(torch.onnx.ops.symbolic)

    def op(name: str, *inputs: Tensor) -> Tensor:
        shape = inputs[0].shape
        for each in inputs[1:]:
            shape = each.shape if each.dim() > len(shape) else shape
        result: Tensor = symbolic(
            name, inputs, dtype=torch.bool if name in CONDITIONS else dtype, shape=shape
        )
        return result

    def constant(value: float) -> Tensor:
        return torch.full((), value, dtype=dtype)

    return compile_onnx(formula.program(), op, constant)
