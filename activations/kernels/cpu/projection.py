"""The input projection of a stack on the CPU: projection.c, for projection.py to use.

- A layer's input is narrow (45 features) and its gates are the largest tensor of a step: BLAS
  reaches a quarter of its speed on such a product, and the page faults of a fresh result cost as
  much again. Together that was half of a layer's time at H = 64.
- The same rules as the recurrence's: all sums in an order of the group's own, the same bits for any
  number of threads and companions.
- precision is "ieee" (float32's products) or "bf16"; whoever calls has asked whether that is to be
  had (bfloat16.py).
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from activations.kernels.cpu.c_files import c_file, vectors_and_products
from activations.kernels.cpu.compiler import CompilerError, load_library
from activations.kernels.cpu.memory import empty, plain
from activations.kernels.cpu.threads import parallel_region
from activations.kernels.precision import Precision
from activations.kernels.reference import projection_gradients

_I64, _POINTER = ctypes.c_int64, ctypes.c_void_p
_ITEM_FRAMES = 128  # as in projection.c


class _Call(ctypes.Structure):
    """`struct projection` of projection.c."""

    _fields_ = (
        *((name, _I64) for name in ("G", "I", "O", "threads", "pieces")),
        *((name, _POINTER) for name in ("bounds", "first_item")),
        *((name, _POINTER) for name in ("x", "w", "b", "out", "d_out", "d_x", "d_w", "d_b")),
        *((name, _POINTER) for name in ("scratch", "parallel")),
    )


def available(dtype: torch.dtype) -> str | None:
    """Why this cannot project tensors of that type; None where it can."""
    if dtype != torch.float32:
        return f"the CPU kernel computes in float32, not {str(dtype).removeprefix('torch.')}"
    try:
        _load("ieee")
    except CompilerError as error:
        return str(error)
    return None


def project(frames: Tensor, weight: Tensor, bias: Tensor | None, bounds: Sequence[int]) -> Tensor:
    """Multiply each group's frames by its weights, differentiably in all three.

    frames [N, I], weight [G, O, I], bias [G, O] or None -> [N, O]; group g owns the frames
    bounds[g]:bounds[g + 1] (G + 1 numbers). float32 on the CPU, as are the products.
    Raises ValueError for tensors that do not fit: the C code would read beyond them.
    """
    G, outputs, inputs = weight.shape
    fits = frames.shape == (bounds[-1], inputs) and len(bounds) == G + 1
    if not fits or (bias is not None and bias.shape != (G, outputs)):
        raise ValueError(
            f"frames must be [{bounds[-1]}, {inputs}], got {list(frames.shape)}; "
            f"bias [{G}, {outputs}], got {None if bias is None else list(bias.shape)}"
        )
    for tensor in (frames, weight, *([] if bias is None else [bias])):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(f"expected float32 on the CPU, got {tensor.dtype} on {tensor.device}")
    projected: Tensor = _Projection.apply(  # type: ignore[no-untyped-call]
        frames, weight, bias, tuple(bounds)
    )
    return projected


def forward(
    frames: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    bounds: tuple[int, ...],
    precision: Precision = "ieee",
) -> Tensor:
    """`project` without autograd and without checks."""
    frames, weight = plain(frames), plain(weight)
    bias = None if bias is None else plain(bias)
    out = empty(len(frames), weight.shape[1])
    call = _call(frames, weight, bounds)
    call.b = None if bias is None else bias.data_ptr()
    call.out = out.data_ptr()
    _run("projection_forward", call, precision)
    return out


def backward(
    d_out: Tensor,
    frames: Tensor,
    weight: Tensor,
    bounds: tuple[int, ...],
    precision: Precision = "ieee",
    *,
    by_frames: bool,
    by_bias: bool,
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Gradients by frames (if wanted), weight and bias (if wanted)."""
    frames, weight, d_out = plain(frames), plain(weight), plain(d_out)
    d_x = empty(*frames.shape) if by_frames else None
    d_w = torch.empty_like(weight)
    d_b = weight.new_empty(weight.shape[:2]) if by_bias else None
    call = _call(frames, weight, bounds)
    call.d_out, call.d_w = d_out.data_ptr(), d_w.data_ptr()
    call.d_x = None if d_x is None else d_x.data_ptr()
    call.d_b = None if d_b is None else d_b.data_ptr()
    _run("projection_backward", call, precision)
    return d_x, d_w, d_b


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, frames: Tensor, weight: Tensor, bias: Tensor | None, bounds: tuple[int, ...]
    ) -> Tensor:
        ctx.save_for_backward(frames, weight)
        ctx.bounds = bounds
        return forward(frames, weight, bias, bounds)

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        frames, weight = ctx.saved_tensors
        by_frames, _, by_bias, _ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # somebody differentiates this again
            d_x, d_w, d_b = projection_gradients(d_out, frames, weight, ctx.bounds)
            return d_x, d_w, d_b if by_bias else None, None
        return *backward(
            d_out, frames, weight, ctx.bounds, by_frames=by_frames, by_bias=by_bias
        ), None


def _call(frames: Tensor, weight: Tensor, bounds: tuple[int, ...]) -> _Call:
    """What the kernel needs in both directions. The tensors must outlive the call."""
    G, outputs, inputs = weight.shape
    items = (-(-(end - start) // _ITEM_FRAMES) for start, end in pairwise(bounds))
    call = _Call(G=G, I=inputs, O=outputs, threads=torch.get_num_threads())
    call.numbers = (_I64 * (2 * (G + 1)))(*bounds, *accumulate(items, initial=0))
    call.bounds = ctypes.addressof(call.numbers)
    call.first_item = call.bounds + (G + 1) * ctypes.sizeof(_I64)
    call.x, call.w = frames.data_ptr(), weight.data_ptr()
    return call


def _run(function: str, call: _Call, precision: Precision) -> None:
    library = _load(precision)
    scratch = empty(call.threads * library.projection_scratch_bytes(ctypes.byref(call)) // 4)
    call.scratch = scratch.data_ptr()
    call.parallel = parallel_region()
    getattr(library, function)(ctypes.byref(call))


def source(precision: Precision = "ieee") -> str:
    """The C of the projection."""
    return vectors_and_products(precision) + c_file("projection.c")


@cache
def _load(precision: Precision) -> ctypes.CDLL:
    library = load_library(source(precision))
    for name in ("projection_forward", "projection_backward"):
        getattr(library, name).restype = None
    library.projection_scratch_bytes.restype = _I64
    return library
