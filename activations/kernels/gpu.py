"""Recurrence on the GPU: the Triton kernels of gpu_kernels.py behind one autograd function.

- Where the weights fit a block's shared memory (`on_chip`) one launch walks all steps with them;
  where not, one launch a step streams them from L2.
- Precision of the products is torch's own setting, `torch.set_float32_matmul_precision`: "highest"
  is ieee, "high" tf32, "medium" bf16. State, gates and accumulation are float32 in all three.
- Weight and parameter gradients are sums over a group's own frames in a fixed order, without
  atomics: the same input gives the same bits.
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

from activations.kernels import Cell, Parameters
from activations.kernels.packing import Packing

SHARED = 227 * 1024  # bytes that one block may use on sm_90, where no device tells its own limit
# bytes beside the weights, as compiled for 16 rows of 128 units (kernels/ahead.py shows them)
FORWARD_EXTRA, BACKWARD_EXTRA = 16 * 1024, 58 * 1024
ROWS = 16  # rows of an on-chip tile: more rows spill registers
PRECISIONS = {"highest": "ieee", "high": "tf32", "medium": "bf16"}
CHUNKS = 32  # partial sums of a parameter's gradient


def available(cell: Cell, dtype: torch.dtype) -> str | None:
    """Why the GPU kernels cannot run this cell here; None where they can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (it comes with torch for CUDA on Linux)"
    if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        return "torch sees no CUDA device"
    if dtype != torch.float32:
        return f"the GPU kernel computes in float32, not {dtype}"
    if cell.reset_order != "after":
        return "the GPU kernel has reset order 'after' only"
    return None


def describe(cell: Cell) -> str:
    """Name the kernel for result files: precision, versions, the device and a hash of the code."""
    import triton

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "interpreter"
    return f"gpu ({precision()}, triton {triton.__version__}, {device}, {_code_hash(cell)})"


def precision() -> str:
    """How the recurrent products are computed: ieee, tf32 or bf16."""
    return PRECISIONS[torch.get_float32_matmul_precision()]


def recurrence(
    gates_x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    packing: Packing,
    cell: Cell,
    parameters: Parameters,
    h0: Tensor | None,
) -> Tensor:
    """Run the recurrences: arguments and result as `activations.kernels.recurrence` says."""
    update, reset, candidate = parameters
    empty = gates_x.new_zeros(0) if h0 is None else h0
    result: Tensor = _Recurrence.apply(  # type: ignore[no-untyped-call]
        gates_x, w_hh, b_hh, update, reset, candidate, empty, h0 is not None, packing, cell
    )
    return result


@cache
def _code_hash(cell: Cell) -> str:
    from activations.kernels.emit_triton import triton_source

    folder = Path(__file__).parent
    content = "".join(
        [
            (folder / name).read_text()
            for name in ("gpu_kernels.py", "gpu_gradients.py", "gpu_math.py")
        ]
        + [triton_source(cell)]
    )
    return hashlib.sha256(content.encode()).hexdigest()[:8]


class _Launch:
    """The arguments that every kernel of one call shares."""

    def __init__(self, w_hh: Tensor, parameters: Parameters, packing: Packing, cell: Cell) -> None:
        from activations.kernels.emit_triton import triton_sites

        self.sites = triton_sites(cell)
        self.G, self.D, _, self.H = w_hh.shape
        self.N, self.B, self.T = packing.N, packing.rows, packing.T
        self.packing = packing
        self.longest = packing.lengths.gather(1, packing.order)
        update, reset, candidate = (values.contiguous() for values in parameters)
        self.values = {"reset": reset, "update": update, "candidate": candidate}

    def constants(self, *, backward: bool, has_h0: bool) -> dict[str, Any]:
        """Keyword arguments of a time-walking kernel, and BLOCK_K only where it streams."""
        wanted: dict[str, Any] = tiles(self.H, self.B, backward=backward)
        wanted |= {"HAS_H0": has_h0, "PRECISION": precision()}
        for name, letter in (("reset", "R"), ("update", "Z"), ("candidate", "N")):
            wanted[name.upper()] = self.sites[name].value
            if backward:
                wanted[f"{name.upper()}_SLOPE"] = self.sites[name].slope
            wanted[f"P_{letter}"], wanted[f"K_{letter}"] = self.values[name].shape[2:]
        return wanted

    def grid(self, constants: dict[str, Any]) -> tuple[int, ...]:
        """Programs of a time-walking kernel: its tiles of rows, of units if it streams."""
        tiles_b = -(-self.B // constants["BLOCK_B"])
        if "BLOCK_K" not in constants:
            return tiles_b, self.G * self.D
        return -(-self.H // constants["BLOCK_H"]), tiles_b, self.G * self.D

    @property
    def shape(self) -> tuple[Any, ...]:
        """The positional arguments in the middle of the time-walking kernels."""
        return (*self.values.values(), self.B, self.T, self.H, self.D)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        from activations.kernels import gpu_kernels

        gates_x, w_hh, b_hh, update, reset, candidate, h0, has_h0, packing, cell = inputs
        gates_x, w_hh, b_hh, h0 = (x.contiguous() for x in (gates_x, w_hh, b_hh, h0))
        launch = _Launch(w_hh, (update, reset, candidate), packing, cell)
        save = any(ctx.needs_input_grad)
        h_out: Tensor = gates_x.new_empty(launch.N, launch.D, launch.H)
        saved = gates_x.new_empty(launch.N if save else 0, launch.D, 4 * launch.H)
        tensors = (
            gates_x, w_hh, b_hh, h0, h_out, saved, packing.starts, packing.batch_sizes,
            packing.order,
        )  # fmt: skip
        constants = launch.constants(backward=False, has_h0=has_h0) | {"SAVE": save}
        grid = launch.grid(constants)
        if launch.N and "BLOCK_K" not in constants:
            gpu_kernels.sequence_forward[grid](*tensors, launch.longest, *launch.shape, **constants)
        elif launch.N:
            for s in range(launch.T):
                gpu_kernels.step_forward[grid](s, *tensors, *launch.shape, **constants)
        ctx.save_for_backward(w_hh, h0, h_out, saved)
        ctx.call = (launch, has_h0)
        return h_out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from activations.kernels import gpu_kernels

        w_hh, h0, h_out, saved = ctx.saved_tensors
        launch, has_h0 = ctx.call
        packing = launch.packing
        N, D, H = launch.N, launch.D, launch.H
        d_out = gradients[0].contiguous()
        d_gates = d_out.new_empty(N, D, 3 * H)
        d_h_n = d_out.new_empty(N, D, H)
        learnable = any(values.numel() for values in launch.values.values())
        d_values = d_out.new_empty(N if learnable else 0, D, 3 * H)
        d_h0 = torch.zeros_like(h0)
        constants = launch.constants(backward=True, has_h0=has_h0)
        grid = launch.grid(constants)
        index = (packing.starts, packing.batch_sizes, packing.order)
        tensors = (d_out, w_hh, h0, h_out, saved, d_gates, d_h_n, d_values)
        if N and "BLOCK_K" not in constants:
            gpu_kernels.sequence_backward[grid](
                *tensors, d_h0, *index, launch.longest, *launch.shape, **constants
            )
        elif N:
            d_carry = d_out.new_empty(N, D, H)
            for s in range(launch.T):
                gpu_kernels.step_backward[grid](
                    s, *tensors, d_carry, *index, *launch.shape, **constants
                )
            if has_h0:
                d_h0 = _initial_gradient(launch, w_hh, d_gates, d_h_n, d_carry)
        if has_h0 and packing.has_empty:  # no step ran: h0 meets only what reads it directly
            d_h0 = d_h0.masked_fill((packing.lengths == 0)[:, None, :, None], 0.0)
        d_w, d_b = _weight_gradients(launch, w_hh, h0, has_h0, h_out, d_gates, d_h_n)
        by_site = {
            name: _parameter_gradients(launch, name, d_values, saved) for name in launch.values
        }
        return (
            d_gates, d_w, d_b, by_site["update"], by_site["reset"], by_site["candidate"],
            d_h0 if has_h0 else None, None, None, None,
        )  # fmt: skip


def _initial_gradient(
    launch: _Launch, w_hh: Tensor, d_gates: Tensor, d_h_n: Tensor, d_carry: Tensor
) -> Tensor:
    """d_h0 [G, D, B, H]: the step before the first, of the kernel that runs one launch a step."""
    ends = (launch.packing.first_frames, launch.packing.last_frames)[: launch.D]
    d_h0 = []
    for d, first in enumerate(ends):
        frame = first.clamp(min=0)
        recurrent = torch.cat([d_gates[frame, d, : 2 * launch.H], d_h_n[frame, d]], -1)
        d_h0.append(d_carry[frame, d] + recurrent @ w_hh[:, d])
    return torch.stack(d_h0, 1)


def _weight_gradients(
    launch: _Launch,
    w_hh: Tensor,
    h0: Tensor,
    has_h0: bool,
    h_out: Tensor,
    d_gates: Tensor,
    d_h_n: Tensor,
) -> tuple[Tensor, Tensor]:
    """d_w_hh [G, D, 3H, H] and d_b_hh [G, D, 3H]."""
    from activations.kernels import gpu_gradients

    d_w = torch.empty_like(w_hh)
    d_b = w_hh.new_empty(launch.G, launch.D, 3 * launch.H)
    packing = launch.packing
    bounds = torch.tensor(packing.bounds, device=w_hh.device)
    block = 64 if launch.H > 32 else 32
    tiles = -(-launch.H // block)
    gpu_gradients.weight_gradients[(3 * tiles, tiles, launch.G * launch.D)](
        d_gates, d_h_n, h_out, h0, _frames_before(packing, launch.D), packing.row_of_frame, bounds,
        d_w, d_b, launch.B, launch.H, launch.D,
        BLOCK_M=block, BLOCK_H=block, BLOCK_F=32, HAS_H0=has_h0, PRECISION=precision(), num_warps=4,
    )  # fmt: skip
    return d_w, d_b


def _frames_before(packing: Packing, directions: int) -> Tensor:
    """[D, N]: the frame whose state each frame starts from, -1 where that is the initial state."""
    time, row = packing.time_of_frame, packing.row_of_frame
    group = row // max(packing.rows, 1)
    rank = torch.arange(packing.N, device=row.device) - packing.starts[group, time]
    before = [torch.where(time > 0, packing.starts[group, (time - 1).clamp(min=0)] + rank, -1)]
    if directions == 2:
        goes_on = time + 1 < packing.lengths.flatten()[row]
        before.append(torch.where(goes_on, packing.starts[group, time + 1] + rank, -1))
    return torch.stack(before)


def _parameter_gradients(launch: _Launch, name: str, d_values: Tensor, saved: Tensor) -> Tensor:
    """The gradient of one site's learnable parameters, [G, D, P, K]."""
    from activations.kernels import gpu_gradients

    values = launch.values[name]
    gradient = torch.zeros_like(values)
    P, K = values.shape[2:]
    place = ("reset", "update", "candidate").index(name)
    bounds = torch.tensor(launch.packing.bounds, device=values.device)
    recurrences = launch.G * launch.D
    block_h = min(128, max(16, _power(launch.H)))
    grid = (-(-launch.H // block_h), CHUNKS, recurrences)
    for i, slope in enumerate(launch.sites[name].parameter_slopes):
        partial = values.new_empty(CHUNKS, recurrences, launch.H)
        gpu_gradients.parameter_gradient[grid](
            d_values, saved, bounds, values, partial, launch.H, launch.D, place, place, CHUNKS,
            P=P, K=K, SLOPE=slope, BLOCK_F=32, BLOCK_H=block_h, num_warps=4,
        )  # fmt: skip
        total = partial.sum(0).view(launch.G, launch.D, launch.H)
        gradient[:, :, i] = total if K > 1 else total.sum(-1, keepdim=True)
    return gradient


def on_chip(hidden: int, *, backward: bool) -> bool:
    """Whether the three recurrent matrices and the rest of a tile fit one block's shared memory."""
    limit = SHARED
    if torch.cuda.is_available():
        limit = torch.cuda.get_device_properties().shared_memory_per_block_optin  # type: ignore[attr-defined]
    width = 2 if precision() == "bf16" else 4
    extra = BACKWARD_EXTRA if backward else FORWARD_EXTRA
    return 3 * _power(hidden) ** 2 * width + extra <= limit


def tiles(hidden: int, rows: int, *, backward: bool) -> dict[str, int]:
    """BLOCK_B, BLOCK_H, num_warps of a time-walking kernel, and BLOCK_K if it streams weights."""
    if on_chip(hidden, backward=backward):
        block_h = max(16, _power(hidden))
        return {"BLOCK_B": ROWS, "BLOCK_H": block_h, "num_warps": 8 if block_h > 64 else 4}
    block_b = min(64, max(16, _power(rows)))
    return {"BLOCK_B": block_b, "BLOCK_H": 32, "BLOCK_K": 32, "num_warps": 4}


def _power(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()
