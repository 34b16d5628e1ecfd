"""Who runs in `gateswap speed`: a layer's forward and backward pass, as each peer writes it.

- All compute the same: every state of R GRUs over a batch, and from a given gradient by the states
  the gradients by the input and by every weight. Setting up is not timed.
- The eager loop is given what a careful author gives it (one input projection for all steps, the
  activation functions that torch has), because beating a careless loop says nothing.
- Libraries of others are in peers.py, the question whether large stacks should use cuBLAS in
  batched.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from activations.formula.formula import Formula
from activations.formula.torch_code import compile_torch
from activations.gru import GRU, StackedGRU
from activations.kernels.packing import Packing
from bench.speed.layers.batched import batched_products
from bench.speed.layers.peers import flashrnn_gru, jax_gru, keras_gru
from bench.speed.layers.shape import LayerShape
from bench.speed.machine import captured

CONTESTANTS = (
    "gateswap", "gateswap graph", "torch.nn.GRU", "eager", "torch.compile", "batched products",
    "flashrnn", "jax", "keras",
)  # fmt: skip

# what people call where torch has the function; others they compose of torch's operations
NATIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "celu": functional.celu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "hardtanh": functional.hardtanh,
    "leaky_relu": functional.leaky_relu,
}


@dataclass(frozen=True)
class Entrant:
    """A contestant that is ready to run: run() goes once over all batches; frames of all R GRUs."""

    contestant: str
    activation: str
    shape: LayerShape
    run: Callable[[], object]
    batches: int
    frames: int


def enter(
    contestant: str,
    formula: Formula,
    shape: LayerShape,
    batches: Sequence[Tensor],
    device: torch.device,
) -> Entrant | None:
    """Set a contestant up for batches of lengths [R, B]; None where it cannot take part.

    torch.nn.GRU has tanh whatever the formula is. Where it cannot is said by `missing`.
    Raises ValueError for an unknown contestant.
    """
    build: dict[str, Callable[..., Callable[[], object] | None]] = {
        "gateswap": _gateswap,
        "gateswap graph": _gateswap_graph,
        "torch.nn.GRU": _torch_gru,
        "eager": partial(_eager, compiled=False),
        "torch.compile": partial(_eager, compiled=True),
        "batched products": batched_products,
        "flashrnn": flashrnn_gru,
        "jax": jax_gru,
        "keras": keras_gru,
    }
    if contestant not in build:
        raise ValueError(f"no contestant {contestant!r}; there are {', '.join(CONTESTANTS)}")
    run = build[contestant](formula, shape, batches, device)
    if run is None:
        return None
    return Entrant(
        contestant=contestant,
        activation="tanh" if contestant == "torch.nn.GRU" else formula.name,
        shape=shape,
        run=run,
        batches=len(batches),
        frames=sum(int(lengths.sum()) for lengths in batches),
    )


def _gateswap(
    formula: Formula, shape: LayerShape, batches: Sequence[Tensor], device: torch.device
) -> Callable[[], object]:
    if shape.plain:
        gru = GRU(shape.I, shape.H, activation=formula, device=device)
        x = torch.randn(shape.T, shape.B, shape.I, device=device, requires_grad=True)
        gradient = torch.randn(shape.T, shape.B, shape.H, device=device)
        inputs = (x, *gru.parameters())
        return lambda: torch.autograd.grad(gru(x)[0], inputs, gradient)

    stack = StackedGRU(shape.R, shape.I, shape.H, activation=formula, device=device)
    frames = [
        torch.randn(int(lengths.sum()), shape.I, device=device, requires_grad=True)
        for lengths in batches
    ]
    gradients = [torch.randn(len(x), shape.H, device=device) for x in frames]

    def run() -> None:
        for lengths, x, gradient in zip(batches, frames, gradients, strict=True):
            h, _ = stack(x, Packing.from_lengths(lengths).to(device))
            torch.autograd.grad(h, (x, *stack.parameters()), gradient)

    return run


def _gateswap_graph(
    formula: Formula, shape: LayerShape, batches: Sequence[Tensor], device: torch.device
) -> Callable[[], object] | None:
    """The same pass recorded as one CUDA graph, as training does: no launches but one."""
    if device.type != "cuda" or shape.lengths != "equal":
        return None
    if shape.R == 1:
        return captured(_gateswap(formula, shape, batches, device))
    stack = StackedGRU(shape.R, shape.I, shape.H, activation=formula, device=device)
    packing = Packing.full(shape.R, shape.T, shape.B, device=device)
    x = torch.randn(packing.N, shape.I, device=device, requires_grad=True)
    gradient = torch.randn(packing.N, shape.H, device=device)
    inputs = (x, *stack.parameters())
    return captured(lambda: torch.autograd.grad(stack(x, packing)[0], inputs, gradient))


def _torch_gru(
    formula: Formula,  # noqa: ARG001 - it has only its own
    shape: LayerShape,
    batches: Sequence[Tensor],
    device: torch.device,
) -> Callable[[], object]:
    grus = [nn.GRU(shape.I, shape.H, device=device) for _ in range(shape.R)]
    work: list[tuple[nn.GRU, Any, Tensor, Tensor]] = []
    for lengths in batches:
        for gru, own in zip(grus, lengths, strict=True):
            T = int(own.max())
            x = torch.randn(T, shape.B, shape.I, device=device)
            if shape.lengths == "equal":
                x.requires_grad_()
                work.append((gru, x, x, torch.randn(T, shape.B, shape.H, device=device)))
            else:
                packed = pack_padded_sequence(x, own, enforce_sorted=False)
                packed.data.requires_grad_()
                gradient = torch.randn(len(packed.data), shape.H, device=device)
                work.append((gru, packed, packed.data, gradient))

    def run() -> None:
        for gru, inputs, leaf, gradient in work:
            output = gru(inputs)[0]
            data = output if shape.lengths == "equal" else output.data
            torch.autograd.grad(data, (leaf, *gru.parameters()), gradient)

    return run


def eager_gru(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    parameters: Sequence[Tensor],
    activation: Callable[..., Tensor],
) -> Tensor:
    """The loop everybody writes: x [T, B, I] -> every state [T, B, H], weights as in nn.GRU."""
    h = x.new_zeros(x.shape[1], w_hh.shape[1])
    states = []
    for gates_x in functional.linear(x, w_ih, b_ih):
        x_r, x_z, x_n = gates_x.chunk(3, 1)
        h_r, h_z, h_n = functional.linear(h, w_hh, b_hh).chunk(3, 1)
        r = torch.sigmoid(x_r + h_r)
        z = torch.sigmoid(x_z + h_z)
        n = activation(x_n + r * h_n, *parameters)
        h = n + z * (h - n)
        states.append(h)
    return torch.stack(states)


def eager_activation(formula: Formula) -> Callable[..., Tensor]:
    """The activation as people write it: torch's function, or torch's operations and autograd."""
    if formula.name in NATIVE:
        return NATIVE[formula.name]
    code = compile_torch(formula.program())
    return lambda x, *parameters: code(x, *parameters)[0]


def _eager(
    formula: Formula,
    shape: LayerShape,
    batches: Sequence[Tensor],  # noqa: ARG001 - one batch of equal lengths
    device: torch.device,
    *,
    compiled: bool,
) -> Callable[[], object] | None:
    if not shape.plain:
        return None
    gru = nn.GRU(shape.I, shape.H, device=device)
    weights = [parameter.detach().requires_grad_() for parameter in gru.parameters()]
    parameters = [
        torch.tensor([initial], device=device, requires_grad=True) for initial in formula.initial
    ]
    x = torch.randn(shape.T, shape.B, shape.I, device=device, requires_grad=True)
    gradient = torch.randn(shape.T, shape.B, shape.H, device=device)
    loop = torch.compile(eager_gru, dynamic=False) if compiled else eager_gru
    activation = eager_activation(formula)
    w_ih, w_hh, b_ih, b_hh = weights
    return lambda: torch.autograd.grad(
        loop(x, w_ih, w_hh, b_ih, b_hh, parameters, activation),
        (x, *weights, *parameters),
        gradient,
    )
