"""Frames of a batch, copied in C: each from its place in the store to its place in the packing.

- As index operations this takes three int64 numbers for each frame and five passes over them: on a
  CPU longer than the copying itself, and in an evaluation a tenth of the time.
- The same bits as those operations, which are the definition, and the way on a GPU or without a
  compiler.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from activations.kernels.cpu.c_files import vectors_and_products
from activations.kernels.cpu.compiler import CompilerError, load_library
from activations.kernels.cpu.memory import empty, plain
from activations.kernels.cpu.threads import parallel_region
from activations.kernels.packing import Packing

SOURCE = r"""
struct gathering {
    i64 G, B, T, I, M; /* M: members, whose groups alternate */
    const i64 *order, *batch_sizes, *starts; /* of the packing */
    const i64 *offsets, *lengths; /* [G, B] first frame in the store; frames there, or NULL */
    const float *store, *centre, *scale; /* [F, I]; [M, I] or NULL */
    float *frames; /* [N, I] */
    parallel_region parallel;
    i64 threads;
};

static void copy_group(const void *argument, i64 g, char *scratch)
{
    const struct gathering *c = argument;
    const i64 *order = c->order + g * c->B, *sizes = c->batch_sizes + g * c->T;
    const i64 *starts = c->starts + g * (c->T + 1);
    i64 I = c->I, member = g % c->M;
    (void)scratch;
    for (i64 s = 0; s < c->T && sizes[s] > 0; s++)
        for (i64 rank = 0; rank < sizes[s]; rank++) {
            i64 row = g * c->B + order[rank];
            float *to = c->frames + (starts[s] + rank) * I;
            if (c->lengths && s >= c->lengths[row]) {
                memset(to, 0, (size_t)I * 4);
                continue;
            }
            const float *from = c->store + (c->offsets[row] + s) * I;
            will_read_row(from + I, I);
            if (!c->centre)
                memcpy(to, from, (size_t)I * 4);
            else
                for (i64 i = 0; i < I; i++)
                    to[i] = (from[i] - c->centre[member * I + i]) * c->scale[member * I + i];
        }
}

void gateswap_gather(const struct gathering *c)
{
    run((struct region){c, c->G, NULL, 0, copy_group, c->parallel, 0, 0}, c->threads);
}
"""

_I64, _POINTER = ctypes.c_int64, ctypes.c_void_p


class _Call(ctypes.Structure):
    """`struct gathering` of the C."""

    _fields_ = (
        *((name, _I64) for name in ("G", "B", "T", "I", "M")),
        *((name, _POINTER) for name in ("order", "batch_sizes", "starts", "offsets", "lengths")),
        *((name, _POINTER) for name in ("store", "centre", "scale", "frames", "parallel")),
        ("threads", _I64),
    )


def available(store: Tensor) -> bool:
    """Whether it can copy from that tensor."""
    if store.is_cuda or store.dtype != torch.float32:
        return False
    try:
        _library()
    except CompilerError:
        return False
    return True


def gather(
    store: Tensor,
    offsets: Tensor,
    packing: Packing,
    *,
    lengths: Tensor | None = None,
    normal: Tensor | None = None,
) -> Tensor:
    """The packed frames [N, I] of G · B rows: row r at time t is store[offsets[r] + t].

    lengths [G · B]: a row's frames in the store, behind which it goes on in zeros; None: it has all
    that the packing says. normal [2, M, I]: what is subtracted from and multiplied with the frames
    of member g % M, group g's.
    """
    frames = empty(packing.N, store.shape[1])
    kept = [packing.order, packing.batch_sizes, packing.starts, offsets, lengths, store]
    given = [None if each is None else plain(each) for each in kept]
    normal = None if normal is None else plain(normal)
    call = _Call(
        packing.groups, packing.rows, packing.T, store.shape[1],
        1 if normal is None else normal.shape[1],
        *(None if each is None else each.data_ptr() for each in given),
    )  # fmt: skip
    if normal is not None:
        call.centre, call.scale = normal[0].data_ptr(), normal[1].data_ptr()
    call.frames, call.threads, call.parallel = (
        frames.data_ptr(), torch.get_num_threads(), parallel_region(),
    )  # fmt: skip
    _library().gateswap_gather(ctypes.byref(call))
    return frames


@cache
def _library() -> ctypes.CDLL:
    library = load_library(vectors_and_products("ieee") + SOURCE)
    library.gateswap_gather.restype = None
    return library
