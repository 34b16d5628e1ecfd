"""Layer normalisation and ReLU on the GPU, forward and backward in one launch each.

- torch's sum over a member's rows is cut to the number of outputs, so that the last bit of a
  gradient would tell how many members there are. Here one program walks one member's rows.
- A row is normalised anew in backward: it is a few hundred numbers, and nothing need be kept.

Axes: M members, B rows of each, D units.
"""

# Triton reads the kernels' source: no annotations but tl.constexpr, names short as in the maths

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from activations.kernels.gpu.functions import maximum
from bench.network.gpu.derivatives import first_only

TILE = 4096  # numbers that a program holds at once, at most, of rows of up to that many units


def normalised(hidden: Tensor, gain: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """`bench.network.norm.normalised` for CUDA tensors, or CPU tensors where Triton interprets."""
    out: Tensor = _Normalised.apply(hidden, gain, shift, epsilon)  # type: ignore[no-untyped-call]
    return out


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, gain: Tensor, shift: Tensor, epsilon: float) -> Tensor:
        hidden, gain, shift = hidden.contiguous(), gain.contiguous(), shift.contiguous()
        out = torch.empty_like(hidden)
        (M, D), B = gain.shape, len(hidden) // len(gain)
        constants = blocks(B, D)
        norm_forward[(M, -(-B // constants["BLOCK_B"]))](
            hidden, gain, shift, out, B, D, EPSILON=epsilon, **constants
        )
        ctx.save_for_backward(hidden, gain, shift)
        ctx.epsilon = epsilon
        return out

    @staticmethod
    @first_only
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, gain, shift = ctx.saved_tensors
        (M, D), B = gain.shape, len(hidden) // len(gain)
        d_hidden, d_gain, d_shift = (torch.empty_like(x) for x in (hidden, gain, shift))
        norm_backward[(M,)](
            hidden, gain, shift, gradient.contiguous(), d_hidden, d_gain, d_shift, B, D,
            EPSILON=ctx.epsilon, **blocks(B, D),
        )  # fmt: skip
        return d_hidden, d_gain, d_shift, None


def blocks(rows: int, units: int) -> dict[str, int]:
    """Block sizes and num_warps of both kernels."""
    block_d = triton.next_power_of_2(units)
    block_b = max(1, min(triton.next_power_of_2(rows), TILE // block_d, 16))
    return {"BLOCK_B": block_b, "BLOCK_D": block_d, "num_warps": 4}


@triton.jit
def norm_forward(
    hidden, gain, shift, out, B, D,
    EPSILON: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Some rows of one member: out [M · B, D]."""
    m = tl.program_id(0)
    k = tl.arange(0, BLOCK_D)
    y, _, at, inside = normal(hidden, m, tl.program_id(1) * BLOCK_B, k, B, D, EPSILON, BLOCK_B)
    a = tl.load(gain + m * D + k, mask=k < D, other=0.0)[None, :]
    c = tl.load(shift + m * D + k, mask=k < D, other=0.0)[None, :]
    tl.store(out + at, maximum(y * a + c, 0.0), mask=inside)


@triton.jit
def norm_backward(
    hidden, gain, shift, gradient, d_hidden, d_gain, d_shift, B, D,
    EPSILON: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """All rows of one member: d_hidden [M · B, D], d_gain and d_shift [M, D]."""
    m = tl.program_id(0)
    k = tl.arange(0, BLOCK_D)
    a = tl.load(gain + m * D + k, mask=k < D, other=0.0)[None, :]
    c = tl.load(shift + m * D + k, mask=k < D, other=0.0)[None, :]
    of_gain = tl.zeros((BLOCK_D,), dtype=tl.float32)
    of_shift = tl.zeros((BLOCK_D,), dtype=tl.float32)
    for first in range(0, B, BLOCK_B):
        y, scale, at, inside = normal(hidden, m, first, k, B, D, EPSILON, BLOCK_B)
        g = tl.load(gradient + at, mask=inside, other=0.0)
        g = tl.where(y * a + c <= 0.0, 0.0, g)
        of_gain += tl.sum(g * y, 0)
        of_shift += tl.sum(g, 0)
        dy = g * a
        mean = tl.sum(dy, 1)[:, None] / D
        along = tl.sum(dy * y, 1)[:, None] / D
        tl.store(d_hidden + at, (dy - mean - y * along) * scale, mask=inside)
    tl.store(d_gain + m * D + k, of_gain, mask=k < D)
    tl.store(d_shift + m * D + k, of_shift, mask=k < D)


@triton.jit
def normal(hidden, m, first, k, B, D, EPSILON: tl.constexpr, BLOCK_B: tl.constexpr):
    """Rows first … of a member, normalised; 1 / their deviations; their places, and which exist."""
    b = first + tl.arange(0, BLOCK_B)
    at = (m * B + b)[:, None] * D + k[None, :]
    inside = (b < B)[:, None] & (k < D)[None, :]
    x = tl.load(hidden + at, mask=inside, other=0.0)
    x = tl.where(inside, x - tl.sum(x, 1)[:, None] / D, 0.0)
    scale = 1.0 / tl.sqrt_rn(tl.sum(x * x, 1) / D + EPSILON)
    return x * scale[:, None], scale[:, None], at, inside
