"""Recurrence, Triton kernels: what is summed over frames once all steps are done.

- Weight gradients meet each frame's previous state, which packing puts at another frame. Where it
  lies is found once (`previous_frames`), and the states are gathered inside the product, so that no
  [N, H] copy of them is made and the loads of the next block wait for nothing but one number.
- Sums run in a fixed order and without atomics, over a group's own real frames: blocks of frames
  are dealt to chunks in turn, and `sum_chunks` adds the chunks up. The same input gives the same
  bits beside any other groups.
"""

import triton
import triton.language as tl

from activations.kernels.gpu.recurrence_kernels import product


@triton.jit(do_not_specialize=["N", "B", "T"])
def previous_frames(previous, time_of_frame, starts, sizes, order, N, B, T, BLOCK_F: tl.constexpr):
    """Where each frame's previous state lies, [D, N]: its frame, or -1 - its row in h0."""
    g = tl.program_id(1)
    d = tl.program_id(2)
    end = tl.load(starts + g * (T + 1) + T)
    f = tl.load(starts + g * (T + 1)) + tl.program_id(0) * BLOCK_F + tl.arange(0, BLOCK_F)
    real = f < end
    t = tl.load(time_of_frame + f, mask=real, other=0)
    rows = f - tl.load(starts + g * (T + 1) + t)
    earlier = tl.load(starts + g * (T + 1) + tl.maximum(t - 1, 0)) + rows
    later = tl.load(starts + g * (T + 1) + t + 1) + rows
    running = tl.load(sizes + g * T + t + 1, mask=real & (t + 1 < T), other=0)  # of the later step
    known = tl.where(d == 0, t > 0, rows < running)
    row = tl.load(order + g * B + rows, mask=real, other=0)
    tl.store(
        previous + d * N + f,
        tl.where(known, tl.where(d == 0, earlier, later), -1 - row),
        mask=real,
    )


@triton.jit(do_not_specialize=["N", "B", "T"])
def weight_gradients(
    d_gates, candidate, h_out, h0, previous, starts, d_w, d_b, N, B, T, H, D, chunks,
    BLOCK_M: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_F: tl.constexpr,
    HAS_H0: tl.constexpr, PRECISION: tl.constexpr, RESET_BEFORE: tl.constexpr,
):  # fmt: skip
    """Parts of d_w [chunks, G, D, 3H, H] and d_b [chunks, G, D, 3H], one gate's tile a program.

    A gate's recurrent product is of h and is met by the gate's gradient. Of the candidate's,
    `candidate` holds what differs: d_h_n [N, D, H], r ⊙ its gradient, or where the reset gate acts
    before the product, saved [N, D, 4H] with r ⊙ h last.
    """
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    tiles_m = tl.cdiv(H, BLOCK_M)
    tiles_k = tl.cdiv(H, BLOCK_H)
    gate = tl.program_id(0) // tiles_m
    m = (tl.program_id(0) % tiles_m) * BLOCK_M + tl.arange(0, BLOCK_M)
    tile_k = tl.program_id(1) % tiles_k
    chunk = tl.program_id(1) // tiles_k
    k = tile_k * BLOCK_H + tl.arange(0, BLOCK_H)
    start = tl.load(starts + g * (T + 1))
    end = tl.load(starts + g * (T + 1) + T)
    # what differs by gate is where a program reads, so that one loop serves all
    gradient = d_gates + gate * H
    apart = gate == 2 and not RESET_BEFORE
    if apart:
        gradient = candidate
    width = tl.where(apart, 1, 3) * H
    weight = tl.zeros((BLOCK_M, BLOCK_H), dtype=tl.float32)
    bias = tl.zeros((BLOCK_M,), dtype=tl.float32)
    for first in range(start + chunk * BLOCK_F, end, chunks * BLOCK_F):
        f = first + tl.arange(0, BLOCK_F)
        real = f < end
        source = gradient + ((f * D + d) * width)[None, :] + m[:, None]
        da = tl.load(source, mask=real[None, :] & (m < H)[:, None], other=0.0)
        if RESET_BEFORE and gate == 2:
            met = candidate + (f * D + d)[:, None] * 4 * H + 3 * H + k[None, :]
            h = tl.load(met, mask=real[:, None] & (k < H)[None, :], other=0.0)
        else:
            before = tl.load(previous + d * N + f, mask=real, other=-1)
            known = real & (before >= 0)
            at = (before * D + d)[:, None] * H + k[None, :]
            h = tl.load(h_out + at, mask=known[:, None] & (k < H)[None, :], other=0.0)
            if HAS_H0:
                at = (recurrence * B - 1 - before)[:, None] * H + k[None, :]
                at_first = (real & ~known)[:, None] & (k < H)[None, :]
                h += tl.load(h0 + at, mask=at_first, other=0.0)
        weight += product(da, h, PRECISION)
        bias += tl.sum(da, 1)
    row = (chunk * tl.num_programs(2) + recurrence).to(tl.int64) * 3 * H + gate * H + m
    tl.store(d_w + row[:, None] * H + k[None, :], weight, mask=(m < H)[:, None] & (k < H)[None, :])
    if tile_k == 0:
        tl.store(d_b + row, bias, mask=m < H)


@triton.jit(do_not_specialize=["T"])
def parameter_gradient(
    d_values, saved, starts, parameters, partial, T, H, D, site, chunks,
    P: tl.constexpr, K: tl.constexpr, SLOPE: tl.constexpr,
    BLOCK_F: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Parts [chunks, G * D, H] of d_values ⊙ ∂f/∂parameter for one parameter of one site.

    site: its place among r, z, n in d_values, and its argument's in saved.
    """
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    chunk = tl.program_id(1)
    k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    unit = k < H
    start = tl.load(starts + g * (T + 1))
    end = tl.load(starts + g * (T + 1) + T)
    parameters += recurrence * P * K
    total = tl.zeros((BLOCK_H,), dtype=tl.float32)
    for first in range(start + chunk * BLOCK_F, end, chunks * BLOCK_F):
        f = first + tl.arange(0, BLOCK_F)
        inside = (f < end)[:, None] & unit[None, :]
        frame = (f * D + d)[:, None]
        upstream = tl.load(d_values + frame * 3 * H + site * H + k[None, :], mask=inside, other=0.0)
        a = tl.load(saved + frame * 4 * H + site * H + k[None, :], mask=inside, other=0.0)
        slope = SLOPE(a, parameters, k, unit, K)
        total += tl.sum(tl.where(inside, upstream * slope, 0.0), 0)
    tl.store(partial + (chunk * tl.num_programs(2) + recurrence) * H + k, total, mask=unit)


@triton.jit
def sum_parameter(
    partial, gradient, H, chunks, i, P: tl.constexpr, K: tl.constexpr, BLOCK_H: tl.constexpr
):
    """Add up partial [chunks, G * D, H] to parameter i of gradient [G * D, P, K], K = 1 or H."""
    recurrence = tl.program_id(0)
    R = tl.num_programs(0)
    total = tl.zeros((BLOCK_H,), dtype=tl.float32)
    for j in range(0, H, BLOCK_H):
        k = j + tl.arange(0, BLOCK_H)
        units = tl.zeros((BLOCK_H,), dtype=tl.float32)
        for chunk in range(chunks):
            units += tl.load(partial + (chunk * R + recurrence) * H + k, mask=k < H, other=0.0)
        if K > 1:
            tl.store(gradient + (recurrence * P + i) * K + k, units, mask=k < H)
        total += units
    if K == 1:
        tl.store(gradient + recurrence * P + i, tl.sum(total, 0))


@triton.jit(do_not_specialize=["size"])
def sum_chunks(partial, out, size, chunks, BLOCK: tl.constexpr):
    """Add up partial [chunks, size] to out [size], first chunk first."""
    size = tl.cast(size, tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    total = tl.load(partial + at, mask=inside, other=0.0)
    for chunk in range(1, chunks):
        total += tl.load(partial + chunk * size + at, mask=inside, other=0.0)
    tl.store(out + at, total, mask=inside)
