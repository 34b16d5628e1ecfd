"""Attention on the GPU: scores, softmax and weighted mean of a row's frames in one Triton kernel.

- One program walks one row's own frames, which it finds from the packing: no index of frames is
  made, frames that are no row's are never read, and a row's result depends on nothing else.
- The softmax keeps a running maximum, so that states are read once (Milakov & Gimelshein, "Online
  normalizer calculation for softmax", 2018); backward computes weights anew from what was kept.
- Sums have a fixed order and no atomics: the gradient of a group's score weights is summed row by
  row in a second launch.

Axes: G groups, B rows a group, R = G · B, T steps, A attention units, W width of a state.
"""

# Triton reads the kernels' source: no annotations but tl.constexpr, names short as in the maths

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from activations.kernels.gpu.functions import tanh
from activations.kernels.packing import Packing
from bench.network.gpu.derivatives import first_only

FRAMES = 32  # of a row, read at once
COLUMNS = 128  # of a state, at most, read at once


def attention(
    states: Tensor, keys: Tensor, offer: Tensor | None, score: Tensor, packing: Packing
) -> Tensor:
    """`network.attention.attention` for CUDA tensors, or CPU tensors where Triton interprets."""
    pooled: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        states, keys, offer, score, packing
    )
    return pooled


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        keys: Tensor,
        offer: Tensor | None,
        score: Tensor,
        packing: Packing,
    ) -> Tensor:
        states, keys, score = states.contiguous(), keys.contiguous(), score.contiguous()
        offer = None if offer is None else offer.contiguous()
        rows, W = packing.groups * packing.rows, states.shape[1]
        pooled = states.new_empty(rows, W)
        kept = states.new_empty(rows, 2)
        constants = blocks(W, score.shape[1])
        attention_forward[(rows, -(-W // constants["BLOCK_W"]))](
            states, keys, keys if offer is None else offer, score, pooled, kept,
            packing.starts.contiguous(), packing.lengths.contiguous(), packing.order.contiguous(),
            packing.rows, packing.T, score.shape[1], W, HAS_OFFER=offer is not None, **constants,
        )  # fmt: skip
        ctx.save_for_backward(states, keys, offer, score, pooled, kept)
        ctx.packing = packing
        return pooled

    @staticmethod
    @first_only
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        states, keys, offer, score, pooled, kept = ctx.saved_tensors
        packing: Packing = ctx.packing
        (rows, W), (G, A) = pooled.shape, score.shape
        d_states, d_keys = torch.empty_like(states), torch.empty_like(keys)
        d_offer = None if offer is None else torch.empty_like(offer)
        by_row = score.new_empty(rows, A)
        constants = blocks(W, A)
        attention_backward[(rows,)](
            states, keys, keys if offer is None else offer, score, pooled, kept,
            gradient.contiguous(), d_states, d_keys, by_row if d_offer is None else d_offer, by_row,
            packing.starts.contiguous(), packing.lengths.contiguous(), packing.order.contiguous(),
            packing.rows, packing.T, A, W, HAS_OFFER=offer is not None, **constants,
        )  # fmt: skip
        d_score = torch.empty_like(score)
        sum_of_rows[(G,)](by_row, d_score, packing.rows, A, **sum_blocks(A))
        return d_states, d_keys, d_offer, d_score, None


def blocks(width: int, units: int) -> dict[str, int]:
    """Block sizes and num_warps of both kernels that walk rows."""
    block_w = min(COLUMNS, triton.next_power_of_2(width))
    return {
        "BLOCK_T": FRAMES,
        "BLOCK_A": triton.next_power_of_2(units),
        "BLOCK_W": block_w,
        # on sm_90 backward takes 128 registers a thread in 8 warps, 230 in 4 (ptxas, triton 3.7)
        "num_warps": 8 if block_w > 64 else 4,
    }


def sum_blocks(units: int) -> dict[str, int]:
    """Block sizes and num_warps of `sum_of_rows`."""
    return {"BLOCK_B": 32, "BLOCK_A": triton.next_power_of_2(units), "num_warps": 4}


@triton.jit(do_not_specialize=["T"])
def attention_forward(
    states, keys, offer, score, pooled, kept, starts, lengths, order, B, T, A, W,
    BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, BLOCK_W: tl.constexpr, HAS_OFFER: tl.constexpr,
):  # fmt: skip
    """Some columns of one row's mean: pooled [R, W]; kept [R, 2] = its largest score, its total."""
    g, rank, row = row_of(order, B)
    length = tl.load(lengths + row)
    a, u, here = row_weights(score, offer, g, row, A, BLOCK_A, HAS_OFFER)
    column = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    top = tl.full((), float("-inf"), tl.float32)
    total = tl.full((), 0.0, tl.float32)
    mean = tl.zeros((BLOCK_W,), dtype=tl.float32)
    for first in range(0, length, BLOCK_T):
        frame, real = frames_of(starts, g, rank, first, length, T, BLOCK_T)
        _, scores = frame_scores(keys, frame, real, a, u, here, A)
        scores = tl.where(real, scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 0))
        shrink = tl.exp(top - higher)
        weight = tl.exp(scores - higher)
        state = tl.load(
            states + frame[:, None] * W + column[None, :],
            mask=real[:, None] & (column < W)[None, :],
            other=0.0,
        )
        mean = mean * shrink + tl.sum(weight[:, None] * state, 0)
        total = total * shrink + tl.sum(weight, 0)
        top = higher
    mean = mean / tl.where(length > 0, total, 1.0)
    tl.store(pooled + row * W + column, mean, mask=column < W)
    if tl.program_id(1) == 0:
        tl.store(kept + row * 2, top)
        tl.store(kept + row * 2 + 1, total)


@triton.jit(do_not_specialize=["T"])
def attention_backward(
    states, keys, offer, score, pooled, kept, gradient, d_states, d_keys, d_offer, d_score,
    starts, lengths, order, B, T, A, W,
    BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, BLOCK_W: tl.constexpr, HAS_OFFER: tl.constexpr,
):  # fmt: skip
    """One row: d_states, d_keys of its frames, its d_offer [A] and what it adds to d_score [A]."""
    g, rank, row = row_of(order, B)
    length = tl.load(lengths + row)
    a, u, here = row_weights(score, offer, g, row, A, BLOCK_A, HAS_OFFER)
    top = tl.load(kept + row * 2)
    total = tl.load(kept + row * 2 + 1)
    column = tl.arange(0, BLOCK_W)
    along = tl.zeros((BLOCK_W,), dtype=tl.float32)
    for left in range(0, W, BLOCK_W):
        at = row * W + left + column
        inside = left + column < W
        along += tl.load(pooled + at, mask=inside, other=0.0) * tl.load(
            gradient + at, mask=inside, other=0.0
        )
    mean = tl.sum(along, 0)
    own_offer = tl.zeros((BLOCK_A,), dtype=tl.float32)
    own_score = tl.zeros((BLOCK_A,), dtype=tl.float32)
    for first in range(0, length, BLOCK_T):
        frame, real = frames_of(starts, g, rank, first, length, T, BLOCK_T)
        key, scores = frame_scores(keys, frame, real, a, u, here, A)
        weight = tl.where(real, tl.exp(scores - top) / total, 0.0)
        gain = tl.zeros((BLOCK_T,), dtype=tl.float32)
        for left in range(0, W, BLOCK_W):
            inside = left + column < W
            at = frame[:, None] * W + (left + column)[None, :]
            within = real[:, None] & inside[None, :]
            upstream = tl.load(gradient + row * W + left + column, mask=inside, other=0.0)
            state = tl.load(states + at, mask=within, other=0.0)
            gain += tl.sum(state * upstream[None, :], 1)
            tl.store(d_states + at, weight[:, None] * upstream[None, :], mask=within)
        # d softmax: the weight times how much better than the mean this frame's state would be
        d_scores = tl.where(real, weight * (gain - mean), 0.0)
        d_key = d_scores[:, None] * u[None, :] * (1.0 - key * key)
        tl.store(
            d_keys + frame[:, None] * A + a[None, :],
            d_key,
            mask=real[:, None] & (a < A)[None, :],
        )
        own_offer += tl.sum(d_key, 0)
        own_score += tl.sum(d_scores[:, None] * key, 0)
    if HAS_OFFER:
        tl.store(d_offer + row * A + a, own_offer, mask=a < A)
    tl.store(d_score + row * A + a, own_score, mask=a < A)


@triton.jit
def sum_of_rows(rows, out, B, A, BLOCK_B: tl.constexpr, BLOCK_A: tl.constexpr):
    """Sum each group's rows [G, B, A] -> [G, A]."""
    g = tl.program_id(0)
    a = tl.arange(0, BLOCK_A)
    total = tl.zeros((BLOCK_A,), dtype=tl.float32)
    for first in range(0, B, BLOCK_B):
        b = first + tl.arange(0, BLOCK_B)
        at = (g * B + b)[:, None] * A + a[None, :]
        total += tl.sum(tl.load(rows + at, mask=(b < B)[:, None] & (a < A)[None, :], other=0.0), 0)
    tl.store(out + g * A + a, total, mask=a < A)


@triton.jit
def row_of(order, B):
    """This program's group, its row's place in the group's order, and the row as g * B + b."""
    g = tl.program_id(0) // B
    rank = tl.program_id(0) % B
    return g, rank, g * B + tl.load(order + g * B + rank)


@triton.jit
def row_weights(
    score, offer, g, row, A, BLOCK_A: tl.constexpr, HAS_OFFER: tl.constexpr
):  # fmt: skip
    """Attention units, the weights of their score, and what the row adds to its frames' keys."""
    a = tl.arange(0, BLOCK_A)
    u = tl.load(score + g * A + a, mask=a < A, other=0.0)
    here = tl.zeros((BLOCK_A,), dtype=tl.float32)
    if HAS_OFFER:
        here += tl.load(offer + row * A + a, mask=a < A, other=0.0)
    return a, u, here


@triton.jit
def frames_of(starts, g, rank, first, length, T, BLOCK_T: tl.constexpr):
    """The row's frames at steps first …, and which of them it has."""
    t = first + tl.arange(0, BLOCK_T)
    real = t < length
    return tl.load(starts + g * (T + 1) + t, mask=real, other=0) + rank, real


@triton.jit
def frame_scores(keys, frame, real, a, u, here, A):
    """Keys of frames, the row's own part added, after tanh [frames, A]; their scores [frames]."""
    at = frame[:, None] * A + a[None, :]
    key = tl.load(keys + at, mask=real[:, None] & (a < A)[None, :], other=0.0)
    key = tanh(key + here[None, :])
    return key, tl.sum(key * u[None, :], 1)
