"""Recurrence, reference implementation: the definition of truth for every kernel.

- Plain PyTorch and autograd, float32 or float64: slow is fine, clever is not.
- Same gate names as kernels/cpu/gru.c, so that they can be read side by side.
- Padding does not exist here: a step takes the rows that still run and leaves the others' h as it
  is.
- Group by group, so a group's numbers are the same bits beside any other groups.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import pairwise

import torch
from torch import Tensor

from activations.formula.torch_code import compile_torch
from activations.kernels.cell import Cell, Parameters
from activations.kernels.packing import Packing
from activations.kernels.precision import Precision

Activation = Callable[[Tensor], Tensor]


def recurrence(
    gates_x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    packing: Packing,
    cell: Cell,
    parameters: Parameters,
    h0: Tensor | None,
) -> Tensor:
    """Run the recurrences: arguments and result as `kernels.dispatch.recurrence` says."""
    G, D, _, H = w_hh.shape
    batch_sizes = packing.batch_sizes.tolist()
    groups = []
    for g in range(G):
        frames = gates_x[packing.bounds[g] : packing.bounds[g + 1]]
        directions = []
        for d in range(D):
            if h0 is None:
                h = gates_x.new_zeros(packing.rows, H)
            else:
                h = h0[g, d].index_select(0, packing.order[g])
            sites = [
                _bind(formula.torch_function, values[g, d])
                for formula, values in zip(cell.formulas, parameters, strict=True)
            ]
            xs = frames[:, d].split_with_sizes([n for n in batch_sizes[g] if n > 0])
            states = []
            for x in xs if d == 0 else reversed(xs):
                running = x.shape[0]
                h_new = step(x, h[:running], w_hh[g, d], b_hh[g, d], sites, cell.reset_order)
                states.append(h_new)
                # backward in time a row joins at its own last frame, its initial state untouched
                # until then
                h = torch.cat([h_new, h[running:]])
            none = frames[:, d, :H]  # where no row has a frame: no states, but a gradient
            directions.append(torch.cat(states if d == 0 else states[::-1]) if states else none)
        groups.append(torch.stack(directions, 1))
    return torch.cat(groups)


def layer(
    frames: Tensor,
    w_ih: Tensor | None,
    b_ih: Tensor | None,
    w_hh: Tensor,
    b_hh: Tensor,
    packing: Packing,
    cell: Cell,
    parameters: Parameters,
    h0: Tensor | None,
) -> Tensor:
    """Project and run the recurrences: arguments and result as `kernels.layer` says."""
    D, H = w_hh.shape[1], w_hh.shape[3]
    if w_ih is not None:
        parts = [
            torch.nn.functional.linear(
                frames[start:end], w_ih[g], None if b_ih is None else b_ih[g]
            )
            for g, (start, end) in enumerate(pairwise(packing.bounds))
        ]
        frames = torch.cat(parts)
    gates_x = frames.reshape(packing.N, D, 3 * H)
    return recurrence(gates_x, w_hh, b_hh, packing, cell, parameters, h0)


def projection_gradients(
    d_out: Tensor, frames: Tensor, weight: Tensor, bounds: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a projection by frames [N, I], weight [G, O, I] and bias [G, O], as plain
    operations that can be differentiated again.
    """
    groups = list(pairwise(bounds))
    d_frames = [d_out[start:end] @ weight[g] for g, (start, end) in enumerate(groups)]
    d_weight = [d_out[start:end].t() @ frames[start:end] for start, end in groups]
    d_bias = [d_out[start:end].sum(0) for start, end in groups]
    return torch.cat(d_frames), torch.stack(d_weight), torch.stack(d_bias)


def one_step(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    cell: Cell,
    values: Sequence[Tensor | None],
) -> Tensor:
    """One step without gradients: x [B, I], h [B, H] -> h' [B, H], for streams.

    w_ih [3H, I], w_hh [3H, H], biases [3H]; values of (update, reset, candidate), each [P] or
    [P, H], None without parameters.
    """
    update, reset, candidate = (
        function if parameters is None else partial(_with_parameters, function, parameters)
        for function, parameters in zip(_values(cell), values, strict=True)
    )
    H = h.shape[1]
    x_r, x_z, x_n = _product(x, w_ih, b_ih).chunk(3, 1)
    if cell.reset_order == "after":
        h_r, h_z, h_n = _product(h, w_hh, b_hh).chunk(3, 1)
        n = candidate(x_n + reset(x_r + h_r)[0] * h_n)[0]
    else:
        b = None if b_hh is None else b_hh[: 2 * H]
        h_r, h_z = _product(h, w_hh[: 2 * H], b).chunk(2, 1)
        b = None if b_hh is None else b_hh[2 * H :]
        n = candidate(x_n + _product(reset(x_r + h_r)[0] * h, w_hh[2 * H :], b))[0]
    return torch.lerp(n, h, update(x_z + h_z)[0])


def _product(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """What `linear` computes; of a single row it takes twice as long to find out how."""
    return torch.mm(x, w.t()) if b is None else torch.addmm(b, x, w.t())


@lru_cache(maxsize=256)
def _values(cell: Cell) -> tuple[Callable[..., tuple[Tensor, ...]], ...]:
    return tuple(compile_torch(formula.program()) for formula in cell.formulas)


def _with_parameters(
    function: Callable[..., tuple[Tensor, ...]], parameters: Tensor, x: Tensor
) -> tuple[Tensor, ...]:
    return function(x, *parameters.unbind(0))


def available(cell: Cell, dtype: torch.dtype) -> str | None:  # noqa: ARG001
    """Say why this cell cannot run; None where it can: any cell in float32 and float64."""
    if dtype in (torch.float32, torch.float64):
        return None
    return f"the reference computes in float32 or float64, not {dtype}"


def describe(cell: Cell, precision: Precision) -> str:  # noqa: ARG001
    """Name what computes a cell here."""
    return f"reference (torch {torch.__version__})"


def step(
    x: Tensor, h: Tensor, w: Tensor, b: Tensor, sites: Sequence[Activation], reset_order: str
) -> Tensor:
    """One step of n rows.

    x [n, 3H] (the input's gates r, z, n), h [n, H], w [3H, H], b [3H]; returns h' [n, H].
    """
    H = h.shape[1]
    update, reset, candidate = sites
    x_r, x_z, x_n = x.chunk(3, 1)
    if reset_order == "after":
        h_r, h_z, h_n = torch.addmm(b, h, w.t()).chunk(3, 1)
        r = reset(x_r + h_r)
        z = update(x_z + h_z)
        n = candidate(x_n + r * h_n)
    else:
        h_r, h_z = torch.addmm(b[: 2 * H], h, w[: 2 * H].t()).chunk(2, 1)
        r = reset(x_r + h_r)
        z = update(x_z + h_z)
        n = candidate(x_n + torch.addmm(b[2 * H :], r * h, w[2 * H :].t()))
    return (1 - z) * n + z * h


def _bind(function: Callable[..., Tensor], values: Tensor) -> Activation:
    """The activation with its learnable parameters, values [P, K], put in."""
    if values.shape[0] == 0:
        return function
    return lambda x: function(x, *values.unbind(0))
