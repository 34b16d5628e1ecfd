"""Attention on the CPU: attention.c, keys, scores, softmax and weighted means in one pass each way.

- Torch's operations read and write the states a dozen times: a fifth of a training step at H = 32.
- All sums are in an order of the group's own: the same bits for any number of threads and
  companions. They are not the bits of torch's operations, which add in another order.
"""

import ctypes
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import torch
from torch import Tensor

from activations.kernels.cpu.c_files import vectors_and_products
from activations.kernels.cpu.compiler import load_library
from activations.kernels.cpu.memory import empty, plain
from activations.kernels.cpu.threads import parallel_region
from activations.kernels.packing import Packing

_I64, _POINTER = ctypes.c_int64, ctypes.c_void_p


class _Call(ctypes.Structure):
    """`struct attention` of attention.c."""

    _fields_ = (
        *((name, _I64) for name in ("G", "B", "T", "W", "A", "threads")),
        *((name, _POINTER) for name in ("order", "batch_sizes", "starts", "states", "mask")),
        *((name, _POINTER) for name in ("weight", "bias", "score", "offer", "pooled")),
        *((name, _POINTER) for name in ("keys", "scores", "most", "total", "d_pooled", "d_states")),
        *((name, _POINTER) for name in ("d_weight", "d_bias", "d_score", "d_offer")),
        *((name, _POINTER) for name in ("sums", "scratch", "parallel")),
    )


class Given(NamedTuple):
    """What attention is of: states [N, W] of all groups of a packing, of which `packing` names G.

    mask: multiplied with the states; [n, W], of the packing's very first frames, or None. weight
    [G, A, W], bias [G, A] and score [G, A] of the groups, A = 0 for the plain mean; offer [R, A] of
    their rows, or None.
    """

    states: Tensor
    mask: Tensor | None
    weight: Tensor
    bias: Tensor
    score: Tensor
    offer: Tensor | None


class Kept(NamedTuple):
    """What `backward` takes of `forward`: pooled [R, W]; tanh of the keys [n, A] and scores [n] of
    the groups' frames; of their rows [R] the largest score and the sum of exponentials.
    """

    pooled: Tensor
    keys: Tensor
    scores: Tensor
    most: Tensor
    total: Tensor


class Gradients(NamedTuple):
    """Where `backward` writes the gradients by what is named alike in `Given`."""

    states: Tensor
    weight: Tensor
    bias: Tensor
    score: Tensor
    offer: Tensor | None


def forward(given: Given, packing: Packing, *, save: bool) -> Kept:
    """Means of each row's states with weights softmax(score · tanh(weight state + bias + offer)).

    Rows R = G · B in the batch's order; zeros for a row without frames. save: whether `backward`
    will follow; without it all but the means is empty.
    """
    A, W = given.weight.shape[1:]
    R, frames = packing.groups * packing.rows, packing.bounds[-1] - packing.bounds[0]
    of_frames, of_rows = (frames, R) if save else (0, 0)
    kept = Kept(
        pooled=empty(R, W),
        keys=empty(of_frames, A),
        scores=empty(of_frames),
        most=torch.empty(of_rows),
        total=torch.empty(of_rows),
    )
    call = _call(given, packing, kept, save=save)
    _run("attention_forward", call)
    return kept


def backward(d_pooled: Tensor, given: Given, kept: Kept, packing: Packing, into: Gradients) -> None:
    """Write the gradients, given those by the means; of the states, those of the groups' frames."""
    call = _call(given, packing, kept, save=True)
    d_pooled = plain(d_pooled)
    call.d_pooled, call.d_states = d_pooled.data_ptr(), into.states.data_ptr()
    call.d_weight, call.d_bias = into.weight.data_ptr(), into.bias.data_ptr()
    call.d_score, call.d_offer = into.score.data_ptr(), _address(into.offer)
    sums = empty(_library().attention_sums(ctypes.byref(call)))
    call.sums = sums.data_ptr()
    _run("attention_backward", call)


def _call(given: Given, packing: Packing, kept: Kept, *, save: bool) -> _Call:
    """What the kernel needs in both directions; its tensors live as long as it does."""
    G, A, W = given.weight.shape
    call = _Call(G=G, B=packing.rows, T=packing.T, W=W, A=A, threads=torch.get_num_threads())
    whole = tuple(None if each is None else plain(each) for each in given)
    layout = tuple(plain(each) for each in (packing.order, packing.batch_sizes, packing.starts))
    call.order, call.batch_sizes, call.starts = map(_address, layout)
    call.states, call.mask, call.weight, call.bias, call.score, call.offer = map(_address, whole)
    call.pooled = kept.pooled.data_ptr()
    if save:
        call.keys, call.scores, call.most, call.total = map(_address, kept[1:])
    call.tensors = whole, layout
    return call


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _run(function: str, call: _Call) -> None:
    library = _library()
    room = library.attention_scratch_bytes(ctypes.byref(call))
    scratch = empty(call.threads * room // 4)
    call.scratch = scratch.data_ptr()
    call.parallel = parallel_region()
    getattr(library, function)(ctypes.byref(call))


@cache
def _library() -> ctypes.CDLL:
    own = (files("bench.network.cpu") / "attention.c").read_text("utf-8")
    library = load_library(vectors_and_products("ieee") + own)
    for name in ("attention_forward", "attention_backward"):
        getattr(library, name).restype = None
    for name in ("attention_sums", "attention_scratch_bytes"):
        getattr(library, name).restype = _I64
    return library
