"""Recurrence, Triton kernels: what is summed over frames once all steps are done.

- Weight gradients meet each frame's previous state, which packing puts at another frame: they are
  gathered inside the product, so that no [N, H] copy of them is made.
- Sums run in a fixed order, chunk by chunk and without atomics: the same bits every time.
"""

import triton
import triton.language as tl

from activations.kernels.gpu_kernels import product


@triton.jit
def weight_gradients(
    d_gates, d_h_n, h_out, h0, before, row_of_frame, bounds, d_w, d_b, B, H, D,
    BLOCK_M: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_F: tl.constexpr,
    HAS_H0: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """d_w [G, D, 3H, H] and d_b [G, D, 3H] of one gate's tile, over the group's own frames.

    before [D, N]: the frame of each frame's previous state, -1 where that is h0 (or zero).
    """
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    tiles = tl.cdiv(H, BLOCK_M)
    gate = tl.program_id(0) // tiles
    m = (tl.program_id(0) % tiles) * BLOCK_M + tl.arange(0, BLOCK_M)
    k = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    end = tl.load(bounds + g + 1)
    N = tl.load(bounds + tl.num_programs(2) // D)
    weight = tl.zeros((BLOCK_M, BLOCK_H), dtype=tl.float32)
    bias = tl.zeros((BLOCK_M,), dtype=tl.float32)
    for first in range(tl.load(bounds + g), end, BLOCK_F):
        f = first + tl.arange(0, BLOCK_F)
        real = f < end
        # the candidate's recurrent product is met by r ⊙ its gradient, the other gates by their own
        if gate == 2:
            source = d_h_n + (f * D + d)[None, :] * H + m[:, None]
        else:
            source = d_gates + (f * D + d)[None, :] * 3 * H + gate * H + m[:, None]
        da = tl.load(source, mask=real[None, :] & (m < H)[:, None], other=0.0)
        previous = tl.load(before + d * N + f, mask=real, other=-1)
        known = previous >= 0
        h = tl.load(
            h_out + (previous * D + d)[:, None] * H + k[None, :],
            mask=known[:, None] & (k < H)[None, :],
            other=0.0,
        )
        if HAS_H0:
            row = tl.load(row_of_frame + f, mask=real, other=0) - g * B
            h += tl.load(
                h0 + (recurrence * B + row)[:, None] * H + k[None, :],
                mask=(real & ~known)[:, None] & (k < H)[None, :],
                other=0.0,
            )
        weight += product(da, h, PRECISION)
        bias += tl.sum(da, 1)
    row = recurrence.to(tl.int64) * 3 * H + gate * H + m
    tl.store(d_w + row[:, None] * H + k[None, :], weight, mask=(m < H)[:, None] & (k < H)[None, :])
    if tl.program_id(1) == 0:
        tl.store(d_b + row, bias, mask=m < H)


@triton.jit
def parameter_gradient(
    d_values, saved, bounds, parameters, partial, H, D, site, kept, chunks,
    P: tl.constexpr, K: tl.constexpr, SLOPE: tl.constexpr,
    BLOCK_F: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Partial sums [chunks, G * D, H] of d_values ⊙ ∂f/∂parameter for one parameter of one site.

    site: its place among r, z, n in d_values; kept: the place of its argument in saved.
    """
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    chunk = tl.program_id(1)
    k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    unit = k < H
    end = tl.load(bounds + g + 1)
    parameters += recurrence * P * K
    total = tl.zeros((BLOCK_H,), dtype=tl.float32)
    for first in range(tl.load(bounds + g) + chunk * BLOCK_F, end, chunks * BLOCK_F):
        f = first + tl.arange(0, BLOCK_F)
        inside = (f < end)[:, None] & unit[None, :]
        frame = (f * D + d)[:, None]
        upstream = tl.load(d_values + frame * 3 * H + site * H + k[None, :], mask=inside, other=0.0)
        a = tl.load(saved + frame * 4 * H + kept * H + k[None, :], mask=inside, other=0.0)
        slope = SLOPE(a, parameters, k, unit, K)
        total += tl.sum(tl.where(inside, upstream * slope, 0.0), 0)
    tl.store(partial + (chunk * tl.num_programs(2) + recurrence) * H + k, total, mask=unit)
