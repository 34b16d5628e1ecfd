"""Cross-entropy with smoothed labels on the GPU, forward and backward in one launch each.

- torch's mean over a member's rows is cut to the number of members, so that the last bit of a loss
  would tell how many there are. Here one program walks one member's rows.

Axes: M members, B rows of each, C classes.
"""

# Triton reads the kernels' source: no annotations but tl.constexpr, names short as in the maths

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from bench.network.gpu.derivatives import first_only

ROWS = 32  # that a program holds at once, at most


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """`network.loss.smoothed_cross_entropy` for CUDA tensors, or CPU ones in the interpreter."""
    losses: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        logits, labels, smoothing
    )
    return losses


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
        logits, labels, smoothing = (x.contiguous() for x in (logits, labels, smoothing))
        M, B, C = logits.shape
        losses = logits.new_empty(M)
        cross_entropy_forward[(M,)](logits, labels, smoothing, losses, B, C, **blocks(B, C))
        ctx.save_for_backward(logits, labels, smoothing)
        return losses

    @staticmethod
    @first_only
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, labels, smoothing = ctx.saved_tensors
        M, B, C = logits.shape
        d_logits = torch.empty_like(logits)
        constants = blocks(B, C)
        cross_entropy_backward[(M, -(-B // constants["BLOCK_B"]))](
            logits, labels, smoothing, gradient.contiguous(), d_logits, B, C, **constants
        )
        return d_logits, None, None


def blocks(rows: int, classes: int) -> dict[str, int]:
    """Block sizes and num_warps of both kernels."""
    block_b = min(ROWS, triton.next_power_of_2(rows))
    return {"BLOCK_B": block_b, "BLOCK_C": triton.next_power_of_2(classes), "num_warps": 1}


@triton.jit
def cross_entropy_forward(
    logits, labels, smoothing, losses, B, C, BLOCK_B: tl.constexpr, BLOCK_C: tl.constexpr
):
    """The mean loss of one member's rows."""
    m = tl.program_id(0)
    total = tl.zeros((BLOCK_B,), dtype=tl.float32)
    for first in range(0, B, BLOCK_B):
        log_p, target, _, inside = row_terms(
            logits, labels, smoothing, m, first, B, C, BLOCK_B, BLOCK_C
        )
        total -= tl.sum(tl.where(inside, target * log_p, 0.0), 1)
    tl.store(losses + m, tl.sum(total, 0) / B)


@triton.jit
def cross_entropy_backward(
    logits, labels, smoothing, gradient, d_logits, B, C,
    BLOCK_B: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """d_logits of some rows of one member: softmax less target, of the mean over B rows."""
    m = tl.program_id(0)
    log_p, target, at, inside = row_terms(
        logits, labels, smoothing, m, tl.program_id(1) * BLOCK_B, B, C, BLOCK_B, BLOCK_C
    )
    upstream = tl.load(gradient + m) / B
    tl.store(d_logits + at, upstream * (tl.exp(log_p) - target), mask=inside)


@triton.jit
def row_terms(
    logits, labels, smoothing, m, first, B, C, BLOCK_B: tl.constexpr, BLOCK_C: tl.constexpr
):
    """Of rows first … of a member: log-probabilities, smoothed targets, places, which exist."""
    b = first + tl.arange(0, BLOCK_B)
    k = tl.arange(0, BLOCK_C)
    at = (m * B + b)[:, None] * C + k[None, :]
    inside = (b < B)[:, None] & (k < C)[None, :]
    x = tl.load(logits + at, mask=inside, other=0.0)
    x -= tl.max(tl.where((k < C)[None, :], x, float("-inf")), 1)[:, None]
    total = tl.sum(tl.where((k < C)[None, :], tl.exp(x), 0.0), 1)
    share = tl.load(smoothing + m)
    label = tl.load(labels + m * B + b, mask=b < B, other=0)
    target = tl.where(label[:, None] == k[None, :], 1.0 - share, 0.0) + share / C
    return x - tl.log(total)[:, None], target, at, inside
