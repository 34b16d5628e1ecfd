"""A layer's operator as plain operations, for exporters that know no operator of ours.

- `program.run_decompositions(activations.decompositions())` leaves nothing of gateswap in a program
  of `torch.export`: products, the formulas' operations, one step after another.
- Steps are written out, so their number is that of the example; rows may be any number. ONNX, which
  has a loop of its own, goes another way (`onnx_layer`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from activations.errors import GateswapError
from activations.formula.torch_code import compile_torch
from activations.kernels import operators
from activations.kernels.reference import Activation, step


def decompositions() -> dict[torch._ops.OperatorBase, Callable[..., Any]]:
    """Torch's own table for `run_decompositions`, and with it our operator."""
    table = torch.export.default_decompositions()
    return {**table, torch.ops.gateswap.gru_layer.default: _layer}


def _layer(
    frames: Tensor,
    w_ih: Tensor,
    b_ih: Tensor | None,
    w_hh: Tensor,
    b_hh: Tensor,
    h0: Tensor | None,
    update: Tensor,
    reset: Tensor,
    candidate: Tensor,
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    steps: int,
    cell: str,
    implementation: str,  # noqa: ARG001 - the operator's arguments
    save: bool,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    """`operators.gru_layer` of one group; saves nothing."""
    if batch_sizes is not None or not isinstance(steps, int) or len(w_hh) != 1:
        raise GateswapError(
            "a GRU becomes plain operations only with a fixed number of steps and without a packed "
            "sequence: export with an example of that many steps, and give lengths where rows end "
            "before; for any number of steps there is torch.onnx.export(dynamo=True)"
        )
    read = operators.cell_of(cell)
    D, H = w_hh.shape[1], w_hh.shape[3]
    gates = torch.nn.functional.linear(frames, w_ih[0], None if b_ih is None else b_ih[0])
    gates = gates.view(steps, -1, D, 3 * H)
    rows = gates.shape[1]
    directions = []
    for d in range(D):
        sites = [
            _bound(compile_torch(formula.program()), values[0, d])
            for formula, values in zip(read.formulas, (update, reset, candidate), strict=True)
        ]
        h = frames.new_zeros(rows, H) if h0 is None else h0[0, d]
        states = {}
        for t in range(steps) if d == 0 else reversed(range(steps)):
            new = step(gates[t, :, d], h, w_hh[0, d], b_hh[0, d], sites, read.reset_order)
            if lengths is None:
                h = states[t] = new
            else:
                running = (lengths > t)[:, None]
                h = torch.where(running, new, h)
                states[t] = torch.where(running, new, 0.0)
        directions.append(torch.stack([states[t] for t in range(steps)]))
    h = torch.stack(directions, 2).flatten(0, 1)
    return h, h.new_empty(0)


def _bound(function: Callable[..., tuple[Tensor, ...]], values: Tensor) -> Activation:
    """A site's activation with its parameters [P, K] put in."""
    parameters = values.unbind(0)
    return lambda x: function(x, *parameters)[0]
