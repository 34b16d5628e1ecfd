"""Grouped projection, Triton kernels: products of packed frames with their group's weights.

- A group's frames are starts[g, 0] … starts[g, T], read on the device: tiles are counted from the
  group's first frame, so that where it lies among the others changes no sum.
- Sums over frames: blocks of frames are dealt to chunks in turn, which
  gradient_kernels.sum_chunks adds up.

Axes: N frames, G groups, T steps; a product is [N, K] by [K, J], a weight's gradient [O, I].
"""

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False
# mypy: disallow-untyped-decorators=False, check-untyped-defs=False

import triton
import triton.language as tl

from activations.kernels.gpu.recurrence_kernels import product


@triton.jit(do_not_specialize=["T"])
def grouped_product(
    x, weight, bias, out, starts, T, K, J, stride_g, stride_j, stride_k,
    BLOCK_F: tl.constexpr, BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_BIAS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Product out [N, J] = x [N, K] times weight [g, j, k] (by its strides), plus bias [G, J]."""
    g = tl.program_id(1)
    tiles_j = tl.cdiv(J, BLOCK_J)
    j = (tl.program_id(0) % tiles_j) * BLOCK_J + tl.arange(0, BLOCK_J)
    first = tl.load(starts + g * (T + 1)) + (tl.program_id(0) // tiles_j) * BLOCK_F
    end = tl.load(starts + g * (T + 1) + T)
    if first < end:
        f = first + tl.arange(0, BLOCK_F)
        real = f < end
        w = weight + g.to(tl.int64) * stride_g + j[None, :] * stride_j
        total = tl.zeros((BLOCK_F, BLOCK_J), dtype=tl.float32)
        for start in range(0, K, BLOCK_K):
            k = start + tl.arange(0, BLOCK_K)
            frames = tl.load(
                x + f[:, None] * K + k[None, :], mask=real[:, None] & (k < K)[None, :], other=0.0
            )
            part = tl.load(
                w + k[:, None] * stride_k, mask=(k < K)[:, None] & (j < J)[None, :], other=0.0
            )
            total += product(frames, part, PRECISION)
        if HAS_BIAS:
            total += tl.load(bias + g * J + j, mask=j < J, other=0.0)[None, :]
        tl.store(out + f[:, None] * J + j[None, :], total, mask=real[:, None] & (j < J)[None, :])


@triton.jit(do_not_specialize=["T"])
def grouped_weight_gradients(
    d_out, x, d_weight, d_bias, starts, T, I, O,  # noqa: E741
    BLOCK_O: tl.constexpr, BLOCK_I: tl.constexpr, BLOCK_F: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Parts of d_weight [chunks, G, O, I] = d_outᵀ x and d_bias [chunks, G, O] over real frames."""
    g = tl.program_id(2)
    chunk = tl.program_id(1)
    tiles_i = tl.cdiv(I, BLOCK_I)
    tile_i = tl.program_id(0) % tiles_i
    o = (tl.program_id(0) // tiles_i) * BLOCK_O + tl.arange(0, BLOCK_O)
    i = tile_i * BLOCK_I + tl.arange(0, BLOCK_I)
    start = tl.load(starts + g * (T + 1))
    end = tl.load(starts + g * (T + 1) + T)
    weight = tl.zeros((BLOCK_O, BLOCK_I), dtype=tl.float32)
    bias = tl.zeros((BLOCK_O,), dtype=tl.float32)
    for first in range(start + chunk * BLOCK_F, end, tl.num_programs(1) * BLOCK_F):
        f = first + tl.arange(0, BLOCK_F)
        real = f < end
        d = tl.load(
            d_out + f[None, :] * O + o[:, None], mask=real[None, :] & (o < O)[:, None], other=0.0
        )
        frames = tl.load(
            x + f[:, None] * I + i[None, :], mask=real[:, None] & (i < I)[None, :], other=0.0
        )
        weight += product(d, frames, PRECISION)
        bias += tl.sum(d, 1)
    row = (chunk * tl.num_programs(2) + g).to(tl.int64) * O + o
    tl.store(
        d_weight + row[:, None] * I + i[None, :], weight, mask=(o < O)[:, None] & (i < I)[None, :]
    )
    if tile_i == 0:
        tl.store(d_bias + row, bias, mask=o < O)
