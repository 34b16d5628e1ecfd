"""Recurrence on the GPU: the Triton kernels of recurrence_kernels.py for kernels/layer.py to use.

- Where the weights fit a block's shared memory (tiles.py) one launch walks all steps with them;
  where not, one launch a step streams them from L2, and replay.py makes those launches cheap.
- Precision of the products is torch's own setting, `torch.set_float32_matmul_precision`: "highest"
  is ieee, "high" tf32, "medium" bf16. State, gates and accumulation are float32 in all three.
  ieee is float32's accuracy by tensor cores: three tf32 products for one (`product`).
- A cell whose reset gate acts before the product has kernels of its own (before_kernels.py), which
  take two launches where the others take one a step.
- Weight and parameter gradients are sums over a group's own real frames in a fixed order, without
  atomics: the same input gives the same bits, alone or beside others.
- Nothing is read back to the host or copied from it, so that a call can be captured in a CUDA
  graph; where a group's frames end is known on the device alone (`packing.starts`).
- Runs on CPU tensors where Triton interprets (TRITON_INTERPRET=1), for the tests.
"""

import hashlib
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activations.kernels.cell import Cell, Parameters
from activations.kernels.gpu import projection, replay
from activations.kernels.gpu.tiles import (
    INDEX_TILES,
    chunks,
    parameter_tiles,
    recurrent_chunks,
    recurrent_gradient_tiles,
    shared_limit,
    tiles,
    unit_tiles,
)
from activations.kernels.packing import Packing
from activations.kernels.precision import Precision

__all__ = ["available", "backward", "describe", "forward"]


def available(cell: Cell, dtype: torch.dtype) -> str | None:  # noqa: ARG001
    """Why the GPU kernels cannot run this cell here; None where they can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (it comes with torch for CUDA on Linux)"
    if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        return "torch sees no CUDA device"
    if dtype != torch.float32:
        return f"the GPU kernel computes in float32, not {dtype}"
    return None


def describe(cell: Cell, precision: Precision) -> str:
    """Name the kernel for result files: products, versions, the device and a hash of the code."""
    import triton

    from activations.kernels.gpu.recurrence_kernels import PRODUCTS

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "interpreter"
    return f"gpu ({PRODUCTS[precision]}, triton {triton.__version__}, {device}, {_code_hash(cell)})"


def forward(
    gates_x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    h0: Tensor | None,
    parameters: Parameters,
    packing: Packing,
    cell: Cell,
    precision: Precision,
    *,
    save: bool,
    shape: tuple[int, ...] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the recurrences, as `kernels.dispatch.recurrence` says: every state, and what is saved.

    shape: of the states, in place of [N, D, H]. save: whether `backward` will be called; it then
    takes the second result, [N, D, 4H], which is empty without.
    Knows nothing of autograd, and checks nothing.
    """
    from activations.kernels.gpu import before_kernels, recurrence_kernels

    gates_x, w_hh, b_hh = (x.resolve_neg().contiguous() for x in (gates_x, w_hh, b_hh))
    has_h0 = h0 is not None
    h0 = gates_x.new_zeros(0) if h0 is None else h0.contiguous()
    launch = _Launch(w_hh, parameters, packing, cell, precision)
    if precision == "bf16":  # once, and not at every step: half of what a step reads
        w_hh = w_hh.to(torch.bfloat16)
    h_out = gates_x.new_empty(shape or (launch.N, launch.D, launch.H))
    constants = launch.constants(backward=False, has_h0=has_h0)
    walks, before = "BLOCK_K" not in constants, cell.reset_order == "before"
    # one half of a step reads what the other kept
    keep = save or (before and not walks)
    saved = gates_x.new_empty(saved_shape(cell, launch.N, launch.D, launch.H, save=keep))
    tensors = (gates_x, w_hh, b_hh, h0, h_out, saved)
    if launch.N and walks:
        kernels = before_kernels if before else recurrence_kernels
        launch.sequence(kernels.sequence_forward, tensors, constants | {"SAVE": save})
    elif launch.N and before:
        halves = (before_kernels.step_resets, before_kernels.step_candidates)
        launch.steps(halves, tensors, constants)
    elif launch.N:
        launch.steps((recurrence_kernels.step_forward,), tensors, constants | {"SAVE": save})
    return h_out, saved if save else saved[:0]


def saved_shape(cell: Cell, N: int, D: int, H: int, *, save: bool) -> tuple[int, int, int]:  # noqa: ARG001
    """The shape of what `forward` keeps for `backward`; frames are its first axis."""
    return N if save else 0, D, 4 * H


FRAMES_AXIS = 0


def backward(
    d_h: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,  # noqa: ARG001
    h0: Tensor | None,
    parameters: Parameters,
    h: Tensor,
    saved: Tensor,
    packing: Packing,
    cell: Cell,
    precision: Precision,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, tuple[Tensor, ...]]:
    """Gradients by gates_x [N, D, 3H], w_hh, b_hh, h0 and the three sites' parameters.

    h and saved are what `forward` returned, d_h the gradient by h.
    """
    from activations.kernels.gpu import before_kernels, recurrence_kernels

    w_hh, d_out, h, saved = (x.resolve_neg().contiguous() for x in (w_hh, d_h, h, saved))
    has_h0 = h0 is not None
    h0 = d_out.new_zeros(0) if h0 is None else h0.contiguous()
    launch = _Launch(w_hh, parameters, packing, cell, precision)
    if precision == "bf16":
        w_hh = w_hh.to(torch.bfloat16)
    N, D, H = launch.N, launch.D, launch.H
    d_gates = d_out.new_empty(N, D, 3 * H)
    before = cell.reset_order == "before"
    d_h_n = None if before else d_out.new_empty(N, D, H)
    learnable = any(values.numel() for values in launch.values.values())
    d_values = d_out.new_empty(N if learnable else 0, D, 3 * H)
    d_h0 = torch.zeros_like(h0)
    constants = launch.constants(backward=True, has_h0=has_h0)
    gradients = (d_gates, d_values) if d_h_n is None else (d_gates, d_h_n, d_values)
    tensors = (d_out, w_hh, h0, h, saved, *gradients)
    if N and "BLOCK_K" not in constants:
        kernels = before_kernels if before else recurrence_kernels
        launch.sequence(kernels.sequence_backward, (*tensors, d_h0), constants)
    elif N:
        d_carry = d_out.new_empty(N, D, H)
        halves = (before_kernels.step_candidate_gradients, before_kernels.step_reset_gradients)
        whole = (recurrence_kernels.step_backward,)
        launch.steps(halves if before else whole, (*tensors, d_carry), constants)
        if has_h0:
            d_h0 = _initial_gradient(launch, w_hh, d_gates, d_h_n, d_carry)
    if has_h0 and packing.has_empty:  # no step ran: h0 meets only what reads it directly
        d_h0 = d_h0.masked_fill((packing.lengths == 0)[:, None, :, None], 0.0)
    d_w, d_b = _weight_gradients(launch, h0, has_h0, h, saved, d_gates, d_h_n)
    by_site = [
        _parameter_gradients(launch, name, d_values, saved)
        for name in ("update", "reset", "candidate")
    ]
    return d_gates, d_w, d_b, d_h0 if has_h0 else None, tuple(by_site)


@cache
def _code_hash(cell: Cell) -> str:
    from activations.kernels.gpu.triton_code import triton_source

    names = ["recurrence_kernels.py", "gradient_kernels.py", "functions.py"]
    names += ["projection_kernels.py", "tiles.py"]
    names += ["before_kernels.py"] if cell.reset_order == "before" else []
    folder = Path(__file__).parent
    content = "".join([*((folder / name).read_text() for name in names), triton_source(cell)])
    return hashlib.sha256(content.encode()).hexdigest()[:8]


class _Launch:
    """The arguments that every kernel of one call shares."""

    def __init__(
        self,
        w_hh: Tensor,
        parameters: Parameters,
        packing: Packing,
        cell: Cell,
        precision: Precision,
    ) -> None:
        from activations.kernels.gpu.triton_code import triton_sites

        self.sites = triton_sites(cell)
        self.G, self.D, _, self.H = w_hh.shape
        self.N, self.B, self.T = packing.N, packing.rows, packing.T
        self.packing = packing
        self.precision = precision
        self.longest = packing.lengths.gather(1, packing.order)
        self.index = tuple(
            each.contiguous() for each in (packing.starts, packing.batch_sizes, packing.order)
        )
        update, reset, candidate = (values.contiguous() for values in parameters)
        self.values = {"reset": reset, "update": update, "candidate": candidate}

    def constants(self, *, backward: bool, has_h0: bool) -> dict[str, Any]:
        """Keyword arguments of a time-walking kernel, and BLOCK_K only where it streams."""
        wanted: dict[str, Any] = tiles(self.H, self.precision, shared_limit(self.longest.device))
        wanted |= {"HAS_H0": has_h0, "PRECISION": self.precision}
        for name, letter in (("reset", "R"), ("update", "Z"), ("candidate", "N")):
            wanted[name.upper()] = self.sites[name].value
            if backward:
                wanted[f"{name.upper()}_SLOPE"] = self.sites[name].slope
            wanted[f"P_{letter}"], wanted[f"K_{letter}"] = self.values[name].shape[2:]
        return wanted

    def sequence(self, kernel: Any, tensors: tuple[Tensor, ...], constants: dict[str, Any]) -> None:
        """Launch a kernel that walks all steps: one program for each tile of rows."""
        grid = (-(-self.B // constants["BLOCK_B"]), self.G * self.D)
        kernel[grid](
            *tensors, *self.index, self.longest, *self.values.values(),
            self.B, self.T, self.H, self.D, **constants,
        )  # fmt: skip

    def steps(
        self, kernels: tuple[Any, ...], tensors: tuple[Tensor, ...], constants: dict[str, Any]
    ) -> None:
        """Launch the kernels of one step T times: a program for each tile of rows and units."""
        grid = (
            -(-self.H // constants["BLOCK_H"]),
            -(-self.B // constants["BLOCK_B"]),
            self.G * self.D,
        )
        arguments = (*tensors, *self.index, *self.values.values())
        numbers = (self.B, self.T, self.H, self.D)

        def launches() -> None:
            for s in range(self.T):
                for kernel in kernels:
                    kernel[grid](s, *arguments, *numbers, **constants)

        addresses = tuple(tensor.data_ptr() for tensor in arguments)
        key = (kernels, grid, addresses, numbers, tuple(constants.items()))
        replay.run(key, launches, tensors[0].device)


def _initial_gradient(
    launch: _Launch, w_hh: Tensor, d_gates: Tensor, d_h_n: Tensor | None, d_carry: Tensor
) -> Tensor:
    """d_h0 [G, D, B, H]: the step before the first, of the kernels that are launched step by step.

    d_h_n None: of a cell whose candidate does not meet the state itself.
    """
    G, D, H = launch.G, launch.D, launch.H
    ends = (launch.packing.first_frames, launch.packing.last_frames)[:D]
    rows = Packing.full(G, 1, launch.B, device=w_hh.device)
    d_h0 = []
    for d, first in enumerate(ends):
        frame = first.flatten().clamp(min=0)
        recurrent, weights = d_gates[frame, d, : 2 * H], w_hh[:, d, : 2 * H]
        if d_h_n is not None:
            recurrent, weights = torch.cat([recurrent, d_h_n[frame, d]], -1), w_hh[:, d]
        back = projection.product(
            recurrent.contiguous(), weights.transpose(1, 2), None, rows, launch.precision
        )
        d_h0.append((d_carry[frame, d] + back).view(G, -1, H))
    return torch.stack(d_h0, 1)


def _weight_gradients(
    launch: _Launch,
    h0: Tensor,
    has_h0: bool,
    h_out: Tensor,
    saved: Tensor,
    d_gates: Tensor,
    d_h_n: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """d_w_hh [G, D, 3H, H] and d_b_hh [G, D, 3H]."""
    from activations.kernels.gpu import gradient_kernels

    G, D, H = launch.G, launch.D, launch.H
    blocks, parts = recurrent_gradient_tiles(H), recurrent_chunks(H)
    rows, columns = -(-H // blocks["BLOCK_M"]), -(-H // blocks["BLOCK_H"])
    d_w, d_b = h_out.new_empty(parts, G, D, 3 * H, H), h_out.new_empty(parts, G, D, 3 * H)
    before = d_h_n is None
    previous = torch.empty(D, launch.N, dtype=torch.int64, device=h_out.device)
    starts = launch.index[0]
    if launch.N:
        frames = -(-launch.packing.room // INDEX_TILES["BLOCK_F"])
        gradient_kernels.previous_frames[(frames, G, D)](
            previous, launch.packing.time_of_frame, *launch.index, launch.N, launch.B, launch.T,
            **INDEX_TILES,
        )  # fmt: skip
    gradient_kernels.weight_gradients[(3 * rows, columns * parts, G * D)](
        d_gates, saved if before else d_h_n, h_out, h0, previous, starts, d_w, d_b,
        launch.N, launch.B, launch.T, H, D, parts,
        HAS_H0=has_h0, PRECISION=launch.precision, RESET_BEFORE=before, **blocks,
    )  # fmt: skip
    return projection.total(d_w), projection.total(d_b)


def _parameter_gradients(launch: _Launch, name: str, d_values: Tensor, saved: Tensor) -> Tensor:
    """The gradient of one site's learnable parameters, [G, D, P, K]."""
    from activations.kernels.gpu import gradient_kernels

    values = launch.values[name]
    gradient = torch.empty_like(values)
    P, K = values.shape[2:]
    if P == 0:
        return gradient
    place = ("reset", "update", "candidate").index(name)
    recurrences = launch.G * launch.D
    blocks = parameter_tiles(launch.H)
    parts = chunks(1)
    partial = values.new_empty(parts, recurrences, launch.H)
    grid = (-(-launch.H // blocks["BLOCK_H"]), parts, recurrences)
    for i, slope in enumerate(launch.sites[name].parameter_slopes):
        gradient_kernels.parameter_gradient[grid](
            d_values, saved, launch.index[0], values, partial, launch.T, launch.H, launch.D, place,
            parts, P=P, K=K, SLOPE=slope, **blocks,
        )  # fmt: skip
        gradient_kernels.sum_parameter[(recurrences,)](
            partial, gradient, launch.H, parts, i, P=P, K=K, **unit_tiles(launch.H)
        )
    return gradient
