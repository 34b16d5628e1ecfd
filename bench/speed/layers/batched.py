"""R GRUs by one batched matrix product and one gate kernel a time step, in a CUDA graph.

- It is here to be compared with: where a stack's recurrent matrices are large, cuBLAS may multiply
  faster than the project's own kernels do, and only a measurement can say from which size on.
- It is given every advantage it can have: equal lengths, no learnable activation parameters, static
  buffers, and no launch cost, because the whole pass is one graph.
- Gates lie as (n, r, z, n recurrent) in the gradients, so that both the input's product and the
  recurrent one take their three gates as one strided matrix without a copy.

Axes: R recurrences, T steps, B rows, H units.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activations.formula.formula import Formula
from activations.kernels.cell import Cell
from activations.kernels.gpu.tiles import power
from activations.registry import get
from bench.speed.layers.shape import LayerShape
from bench.speed.machine import captured

if TYPE_CHECKING:
    from activations.kernels.gpu.triton_code import TritonSite


def batched_products(
    formula: Formula,
    shape: LayerShape,
    batches: Sequence[Tensor],  # noqa: ARG001 - one batch of equal lengths
    device: torch.device,
) -> Callable[[], object] | None:
    """The contestant of `gateswap speed`: stacks of equal lengths on a GPU."""
    if device.type != "cuda" or shape.R == 1 or shape.lengths != "equal" or formula.parameters:
        return None
    R, T, B, H = shape.R, shape.T, shape.B, shape.H
    bound = H**-0.5

    def draw(*sizes: int) -> Tensor:
        return torch.empty(R, *sizes, device=device).uniform_(-bound, bound)

    x = torch.randn(R, T, B, shape.I, device=device)
    weights = draw(3 * H, shape.I), draw(3 * H, H), draw(3 * H), draw(3 * H)
    d_h = torch.randn(R, T, B, H, device=device)
    sigmoid = get("sigmoid")
    return captured(lambda: train(x, *weights, d_h, Cell(sigmoid, sigmoid, formula)))


def train(
    x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, d_h: Tensor, cell: Cell
) -> tuple[Tensor, ...]:
    """Forward and backward pass: h [R, T, B, H], then the gradients by x and the four weights.

    x [R, T, B, I], w_ih [R, 3H, I], w_hh [R, 3H, H], b_ih, b_hh [R, 3H], d_h [R, T, B, H].
    """
    from activations.kernels.gpu.triton_code import triton_sites

    sites = triton_sites(cell)
    R, T, B, input_size = x.shape
    frames = x.view(R, T * B, input_size)
    gates_x = torch.baddbmm(b_ih[:, None], frames, w_ih.transpose(1, 2))
    h, saved = _forward(gates_x.view(R, T, B, -1), w_hh, b_hh, sites)
    d_gates = _backward(d_h, h, saved, w_hh, sites).flatten(1, 2)

    H = h.shape[3]
    by_input, recurrent = d_gates[..., : 3 * H], d_gates[..., H:]
    d_x = torch.bmm(by_input, _rolled(w_ih, 1))
    d_w_ih = _rolled(torch.bmm(by_input.transpose(1, 2), frames), -1)
    # the state before a frame is B frames earlier; before the first step it is zero
    before = h.flatten(1, 2)[:, : (T - 1) * B]
    d_w_hh = torch.bmm(recurrent[:, B:].transpose(1, 2), before)
    sums = d_gates.sum(1)
    d_b_ih = _rolled(sums[:, : 3 * H, None], -1)[..., 0]
    return h, d_x.view_as(x), d_w_ih, d_w_hh, d_b_ih, sums[:, H:]


def _rolled(gates: Tensor, places: int) -> Tensor:
    """Gates [R, 3H, ·] moved by one place: 1 makes (n, r, z) of (r, z, n), -1 undoes it."""
    R, rows, columns = gates.shape
    return gates.reshape(R, 3, rows // 3, columns).roll(places, 1).view(R, rows, columns)


def _forward(
    gates_x: Tensor, w_hh: Tensor, b_hh: Tensor, sites: "dict[str, TritonSite]"
) -> tuple[Tensor, Tensor]:
    """gates_x [R, T, B, 3H] -> h [R, T, B, H] and what the backward pass needs, [R, T, B, 4H]."""
    from bench.speed.layers.batched_kernels import gates_forward

    R, T, B, _ = gates_x.shape
    H = w_hh.shape[2]
    h = gates_x.new_empty(R, T, B, H)
    saved = gates_x.new_empty(R, T, B, 4 * H)
    gates_h = gates_x.new_empty(R, B, 3 * H)
    tiles = _tiles(H)
    for t in range(T):
        if t:
            torch.bmm(h[:, t - 1], w_hh.transpose(1, 2), out=gates_h)
        gates_forward[_grid(R, B, H, tiles)](
            t, gates_x, gates_h, b_hh, h, saved, T, B, H, **tiles,
            **{name.upper(): site.value for name, site in sites.items()},
        )  # fmt: skip
    return h, saved


def _backward(
    d_h: Tensor, h: Tensor, saved: Tensor, w_hh: Tensor, sites: "dict[str, TritonSite]"
) -> Tensor:
    """The gradients by the gates' arguments, [R, T, B, 4H]: n, r, z, n's recurrent part."""
    from bench.speed.layers.batched_kernels import gates_backward

    R, T, B, H = h.shape
    d_gates = torch.empty_like(saved)
    carry = h.new_zeros(R, B, H)
    tiles = _tiles(H)
    functions = {name.upper(): site.value for name, site in sites.items()}
    functions |= {f"{name.upper()}_SLOPE": site.slope for name, site in sites.items()}
    for t in reversed(range(T)):
        gates_backward[_grid(R, B, H, tiles)](
            t, d_h, h, saved, carry, d_gates, T, B, H, **tiles, **functions
        )
        if t:
            carry.baddbmm_(d_gates[:, t, :, H:], w_hh)
    return d_gates


def _tiles(hidden: int) -> dict[str, int]:
    """Rows and units of a gate kernel's tile: elementwise work, four units a thread."""
    return {"BLOCK_B": 4, "BLOCK_H": min(128, max(16, power(hidden)))}


def _grid(R: int, B: int, H: int, tiles: dict[str, int]) -> tuple[int, int, int]:
    return -(-H // tiles["BLOCK_H"]), -(-B // tiles["BLOCK_B"]), R
