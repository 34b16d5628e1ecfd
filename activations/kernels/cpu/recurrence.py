"""Recurrence, CPU implementation: gru.c with the cell's activations compiled into it.

- A cell whose reset gate acts before the product runs gru_before.c, which is compiled after gru.c
  and takes the same call.
- One library for each triple of activations, compiled at first use and kept on disk (compiler.py).
- Results, and what is kept for the backward pass, lie in memory that is used again (memory.py);
  work runs on torch's threads (threads.py).
- Products are float32's ("ieee") or of pairs of bfloat16 ("bf16", bfloat16.py), which is another
  library; state, gates and sums are float32 in both.
- All sums are the kernel's own, so that a group's numbers are the same bits for any number of
  threads and beside any other groups.
"""

import ctypes
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from activations.kernels.cell import Cell, Parameters
from activations.kernels.cpu import bfloat16, projection
from activations.kernels.cpu.c_code import c_source
from activations.kernels.cpu.c_files import c_file, vectors_and_products
from activations.kernels.cpu.compiler import CompilerError, find_compiler, load_library
from activations.kernels.cpu.memory import empty, plain
from activations.kernels.cpu.threads import parallel_region
from activations.kernels.packing import Packing
from activations.kernels.precision import Precision

_I64, _POINTER = ctypes.c_int64, ctypes.c_void_p
MOST_UNITS = 256  # of a recurrence whose gradients stay in the cache, as in gru.c
MOST_INPUTS = 128  # that a recurrence projects itself: with more its weights would fill the caches


class _Call(ctypes.Structure):
    """`struct call` of gru.c."""

    _fields_ = (
        *((name, _I64) for name in ("G", "D", "B", "T", "H", "N", "I", "threads")),
        ("per_unit", _I64 * 3),
        *((name, _POINTER) for name in ("group_order", "order", "batch_sizes", "starts")),
        *((name, _POINTER) for name in ("gates_x", "frames", "w_ih", "b_ih", "w_hh", "b_hh", "h0")),
        ("parameters", _POINTER * 3),
        *((name, _POINTER) for name in ("h", "saved", "d_h", "d_gates_x", "d_hn")),
        *((name, _POINTER) for name in ("d_w_ih", "d_b_ih", "d_w_hh", "d_b_hh", "d_h0")),
        ("d_parameters", _POINTER * 3),
        *((name, _POINTER) for name in ("sums", "scratch", "parallel")),
        *((name, _I64) for name in ("ntiles", "nchunks")),
    )


def available(cell: Cell, dtype: torch.dtype) -> str | None:
    """Why this implementation cannot run the cell with tensors of that type; None where it can.

    Compiles the cell if that has not been done.
    """
    if dtype != torch.float32:
        return f"the CPU kernel computes in float32, not {str(dtype).removeprefix('torch.')}"
    try:
        _load(cell, bfloat16.compiled_for())
    except CompilerError as error:
        return str(error)
    return None


def describe(cell: Cell, precision: Precision = "ieee") -> str:
    """What computes the cell: "cpu (gcc 12.2, avx512, gru.c 3f2a91c0)", a hash of all its C.

    With products of bfloat16 it is "cpu bf16 (…)", and says where the instruction for them is
    missing. Raises CompilerError where there is no compiler.
    """
    compiler = find_compiler()
    content = library_source(cell, precision) + projection.source(precision)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    name, features = "cpu", compiler.features
    if precision == "bf16":
        name = "cpu bf16"
        features += "_bf16" if compiler.bfloat16 else " without bfloat16"
    return f"{name} ({compiler.version}, {features}, gru.c {digest})"


def forward(
    gates_x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    h0: Tensor | None,
    parameters: Parameters,
    packing: Packing,
    cell: Cell,
    precision: Precision = "ieee",
    *,
    save: bool,
    shape: tuple[int, ...] | None = None,
    by: tuple[Tensor, Tensor | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the recurrences, as `kernels.dispatch.recurrence` says: every state, and what is saved.

    by: w_ih [G, D * 3H, I] and b_ih [G, D * 3H] or None; gates_x are then the frames [N, I], which
    are projected a few rows at a time, just before they are needed: the same bits, and the gates'
    inputs, three times the states, never go through memory. Only where `projects` says so.
    shape: of the states, in place of [N, D, H]. save: whether `backward` will be called; it then
    takes the second result, [D, N, 4 * H padded to whole vectors], which is empty without.
    Knows nothing of autograd, and checks nothing.
    """
    w_hh, b_hh, gates_x = plain(w_hh), plain(b_hh), plain(gates_x)
    h0 = None if h0 is None else plain(h0)
    parameters = _contiguous(parameters)
    N, D, H = packing.N, w_hh.shape[1], w_hh.shape[3]
    h = empty(*(shape or (N, D, H)))
    saved = empty(*saved_shape(cell, N, D, H, save=save))
    call = _call(packing, w_hh, b_hh, h0, parameters, h, saved if save else None)
    if by is None:
        call.gates_x = gates_x.data_ptr()
    else:
        w_ih, b_ih = plain(by[0]), None if by[1] is None else plain(by[1])
        call.I, call.frames, call.w_ih = w_ih.shape[2], gates_x.data_ptr(), w_ih.data_ptr()
        call.b_ih = None if b_ih is None else b_ih.data_ptr()
    _run("forward", call, cell, precision)
    return h, saved


def projects(cell: Cell, inputs: int) -> bool:
    """Whether `forward` takes frames of so many numbers in place of the gates' inputs."""
    return cell.reset_order == "after" and inputs <= MOST_INPUTS


def gradients_stay(reset_order: str, inputs: int, hidden: int) -> bool:
    """Whether gradients by the gates' inputs of a first layer take no memory, where there are
    recurrences for all threads.
    """
    return reset_order == "after" and inputs <= MOST_INPUTS and hidden <= MOST_UNITS


def saved_shape(cell: Cell, N: int, D: int, H: int, *, save: bool) -> tuple[int, int, int]:  # noqa: ARG001
    """The shape of what `forward` keeps for `backward`; frames are its second axis."""
    lanes = find_compiler().lanes
    return D, N if save else 0, 4 * -(-H // lanes) * lanes


FRAMES_AXIS = 1


def backward(
    d_h: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    h0: Tensor | None,
    parameters: Parameters,
    h: Tensor,
    saved: Tensor,
    packing: Packing,
    cell: Cell,
    precision: Precision = "ieee",
    *,
    by: tuple[Tensor, Tensor, Tensor | None] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, tuple[Tensor, ...]]:
    """Gradients by gates_x [N, D, 3H], w_hh, b_hh, h0 and the three sites' parameters.

    h and saved are what `forward` returned, d_h the gradient by h. by: the frames, and where to
    write the gradients by w_ih and b_ih (or None), of a cell that `projects`. Nobody else then
    needs those by gates_x: they need not go through memory, and the first result means nothing.
    """
    w_hh, b_hh = plain(w_hh), plain(b_hh)
    h0 = None if h0 is None else plain(h0)
    parameters = _contiguous(parameters)
    d_h, h, saved = plain(d_h), plain(h), plain(saved)
    D, H = w_hh.shape[1], w_hh.shape[3]
    d_w_hh, d_b_hh = torch.empty_like(w_hh), torch.empty_like(b_hh)
    d_h0 = None if h0 is None else torch.empty_like(h0)
    d_parameters = tuple(torch.empty_like(each) for each in parameters)
    call = _call(packing, w_hh, b_hh, h0, parameters, h, saved)
    call.d_h0 = None if d_h0 is None else d_h0.data_ptr()
    if by is not None:
        frames, d_w_ih, d_b_ih = plain(by[0]), *by[1:]
        call.I, call.frames, call.d_w_ih = frames.shape[1], frames.data_ptr(), d_w_ih.data_ptr()
        call.d_b_ih = None if d_b_ih is None else d_b_ih.data_ptr()
    library = _load(cell, precision)
    rows = library.gru_gradient_rows(ctypes.byref(call))
    d_gates_x, d_hn = empty(rows, D, 3 * H), empty(rows, D, H)
    if rows:
        call.d_gates_x, call.d_hn = d_gates_x.data_ptr(), d_hn.data_ptr()
    sums = empty(library.gru_sums(ctypes.byref(call)))
    call.d_h = d_h.data_ptr()
    call.d_w_hh, call.d_b_hh = d_w_hh.data_ptr(), d_b_hh.data_ptr()
    call.d_parameters = _pointers(d_parameters)
    call.sums = sums.data_ptr()
    _run("backward", call, cell, precision)
    return d_gates_x, d_w_hh, d_b_hh, d_h0, d_parameters


def _contiguous(parameters: Parameters) -> Parameters:
    update, reset, candidate = map(plain, parameters)
    return update, reset, candidate


def _call(
    packing: Packing,
    w_hh: Tensor,
    b_hh: Tensor,
    h0: Tensor | None,
    parameters: Sequence[Tensor],
    h: Tensor,
    saved: Tensor | None,
) -> _Call:
    """What the kernel needs in both directions. The tensors must outlive the call."""
    G, D, _, H = w_hh.shape
    call = _Call(G=G, D=D, B=packing.rows, T=packing.T, H=H, N=packing.N)
    call.threads = torch.get_num_threads()
    call.per_unit = (_I64 * 3)(*(each.shape[-1] == H for each in parameters))
    layout = (
        packing.by_size,
        *(each.contiguous() for each in (packing.order, packing.batch_sizes, packing.starts)),
    )
    call.group_order, call.order, call.batch_sizes, call.starts = (t.data_ptr() for t in layout)
    call.w_hh, call.b_hh = w_hh.data_ptr(), b_hh.data_ptr()
    call.h0 = None if h0 is None else h0.data_ptr()
    call.parameters = _pointers(parameters)
    call.h = h.data_ptr()
    call.saved = None if saved is None else saved.data_ptr()
    call.tensors = layout
    return call


def _run(name: str, call: _Call, cell: Cell, precision: Precision) -> None:
    room = _function(cell, precision, "scratch_bytes")(ctypes.byref(call))
    scratch = empty(call.threads * room // 4)
    call.scratch = scratch.data_ptr()
    call.parallel = parallel_region()
    _function(cell, precision, name)(ctypes.byref(call))


def _pointers(tensors: Sequence[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (_POINTER * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _function(cell: Cell, precision: Precision, name: str) -> Any:
    """The kernel's forward, backward or scratch_bytes for the cell's reset order."""
    prefix = "gru" if cell.reset_order == "after" else "gru_before"
    return getattr(_load(cell, precision), f"{prefix}_{name}")


@cache
def _load(cell: Cell, precision: Precision) -> ctypes.CDLL:
    library = load_library(library_source(cell, precision))
    for name in ("forward", "backward", "scratch_bytes", "sums", "gradient_rows"):
        for prefix in ("gru", "gru_before"):
            function = getattr(library, f"{prefix}_{name}", None)
            if function is not None:
                function.argtypes = [ctypes.POINTER(_Call)]
                function.restype = None if name in ("forward", "backward") else _I64
    return library


@cache
def library_source(cell: Cell, precision: Precision = "ieee") -> str:
    """All C of the library that computes a cell."""
    before = c_file("gru_before.c") if cell.reset_order == "before" else ""
    after = "".join(map(c_file, ("gru_call.h", "gru_sums.h", "gru.c")))
    return vectors_and_products(precision) + c_source(cell) + "\n" + after + before
