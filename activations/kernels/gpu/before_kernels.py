"""Recurrence, Triton kernels of the reset gate before the product: n = φ(W x + b + U (r ⊙ h) + c).

- Cho et al. (2014), and TF1's GRUCell. The same walk as recurrence_kernels.py; only what differs
  stands here.
- U meets r ⊙ h, which needs every unit's reset gate. Where a program owns all units (`sequence_*`)
  that is one more product in its turn. Where a step is cut into tiles of units, it takes two
  launches: `step_resets` and `step_candidates`, back `step_candidate_gradients` and
  `step_reset_gradients`.
- `saved` [N, D, 4H] keeps a_r, a_z, a_n and r ⊙ h.

Axes: N frames, G groups, D directions, B rows, T steps, H units; `recurrence` = g * D + d.
"""

# ruff: noqa: ARG001 - both halves of a step are launched with the same arguments
# Triton reads these functions' source: no annotations but tl.constexpr, names short as in the maths

import triton
import triton.language as tl

from activations.kernels.gpu.recurrence_kernels import (
    backward_inputs,
    frames_before,
    previous_state,
    product,
)


@triton.jit(do_not_specialize=["B", "T"])
def sequence_forward(
    gates_x, w_hh, b_hh, h0, h_out, saved, starts, sizes, order, longest,
    p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, HAS_H0: tl.constexpr, SAVE: tl.constexpr,
    PRECISION: tl.constexpr, RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """All steps of a tile of rows. gates_x [N, D, 3H] -> h_out [N, D, H], saved [N, D, 4H]."""
    recurrence = tl.program_id(1)
    g = recurrence // D
    d = recurrence % D
    first_row = tl.program_id(0) * BLOCK_B
    rows = first_row + tl.arange(0, BLOCK_B)
    k = tl.arange(0, BLOCK_H)
    unit = k < H
    square = unit[:, None] & unit[None, :]
    w = w_hh + recurrence.to(tl.int64) * 3 * H * H + k[None, :] * H + k[:, None]
    w_r = tl.load(w, mask=square, other=0.0)
    w_z = tl.load(w + H * H, mask=square, other=0.0)
    w_n = tl.load(w + 2 * H * H, mask=square, other=0.0)
    b = b_hh + recurrence * 3 * H + k
    b_r = tl.load(b, mask=unit, other=0.0)[None, :]
    b_z = tl.load(b + H, mask=unit, other=0.0)[None, :]
    b_n = tl.load(b + 2 * H, mask=unit, other=0.0)[None, :]
    p_r += recurrence * P_R * K_R
    p_z += recurrence * P_Z * K_Z
    p_n += recurrence * P_N * K_N

    h = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    if HAS_H0:
        row_of = tl.load(order + g * B + rows, mask=rows < B, other=0)
        at = (recurrence * B + row_of)[:, None] * H + k[None, :]
        h += tl.load(h0 + at, mask=(rows < B)[:, None] & unit[None, :], other=0.0)
    steps = tl.load(longest + g * B + first_row)
    for s in range(steps):
        t = tl.where(d == 0, s, steps - 1 - s)
        running = rows < tl.load(sizes + g * T + t)
        frame = (tl.load(starts + g * (T + 1) + t) + rows) * D + d
        inside = running[:, None] & unit[None, :]
        x = gates_x + frame[:, None] * 3 * H + k[None, :]
        # all loads before the first product: the compiler moves none across its barriers
        x_r = tl.load(x, mask=inside, other=0.0)
        x_z = tl.load(x + H, mask=inside, other=0.0)
        x_n = tl.load(x + 2 * H, mask=inside, other=0.0)
        a_r = x_r + product(h, w_r, PRECISION) + b_r
        # beyond the units and the rows that run stands whatever the formula makes of zero
        u = tl.where(inside, RESET(a_r, p_r, k, unit, K_R) * h, 0.0)
        a_z = x_z + product(h, w_z, PRECISION) + b_z
        z = UPDATE(a_z, p_z, k, unit, K_Z)
        a_n = x_n + product(u, w_n, PRECISION) + b_n
        n = CANDIDATE(a_n, p_n, k, unit, K_N)
        h = tl.where(inside, (1.0 - z) * n + z * h, h)
        tl.store(h_out + frame[:, None] * H + k[None, :], h, mask=inside)
        if SAVE:
            keep = saved + frame[:, None] * 4 * H + k[None, :]
            tl.store(keep, a_r, mask=inside)
            tl.store(keep + H, a_z, mask=inside)
            tl.store(keep + 2 * H, a_n, mask=inside)
            tl.store(keep + 3 * H, u, mask=inside)


@triton.jit
def candidate_gradients(
    dh, h, a_z, a_n, p_z, p_n, k, unit,
    UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    UPDATE_SLOPE: tl.constexpr, CANDIDATE_SLOPE: tl.constexpr,
    K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """From dh and what was saved: z, the gradients of z and n, and of their arguments."""
    z = UPDATE(a_z, p_z, k, unit, K_Z)
    n = CANDIDATE(a_n, p_n, k, unit, K_N)
    dn = dh * (1.0 - z)
    dz = dh * (h - n)
    da_z = dz * UPDATE_SLOPE(a_z, p_z, k, unit, K_Z)
    da_n = dn * CANDIDATE_SLOPE(a_n, p_n, k, unit, K_N)
    return z, dz, dn, da_z, da_n


@triton.jit(do_not_specialize=["B", "T"])
def sequence_backward(
    d_out, w_hh, h0, h_out, saved, d_gates, d_values, d_h0,
    starts, sizes, order, longest, p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, HAS_H0: tl.constexpr, PRECISION: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    RESET_SLOPE: tl.constexpr, UPDATE_SLOPE: tl.constexpr, CANDIDATE_SLOPE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """All steps of a tile of rows, last processed first; d_h0 [G, D, B, H] at the end."""
    recurrence = tl.program_id(1)
    g = recurrence // D
    d = recurrence % D
    first_row = tl.program_id(0) * BLOCK_B
    rows = first_row + tl.arange(0, BLOCK_B)
    row_of = tl.load(order + g * B + rows, mask=rows < B, other=0)
    k = tl.arange(0, BLOCK_H)
    unit = k < H
    square = unit[:, None] & unit[None, :]
    w = w_hh + recurrence.to(tl.int64) * 3 * H * H + k[:, None] * H + k[None, :]
    w_r = tl.load(w, mask=square, other=0.0)
    w_z = tl.load(w + H * H, mask=square, other=0.0)
    w_n = tl.load(w + 2 * H * H, mask=square, other=0.0)
    p_r += recurrence * P_R * K_R
    p_z += recurrence * P_Z * K_Z
    p_n += recurrence * P_N * K_N

    carry = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    steps = tl.load(longest + g * B + first_row)
    frame, inside, d_h, h, a_r, a_z, a_n, _ = backward_inputs(
        0, steps, d_out, h0, h_out, saved, starts, sizes, rows, row_of, k, unit,
        recurrence, g, d, B, T, H, D, HAS_H0,
    )  # fmt: skip
    for s in range(steps):
        dh = d_h + carry
        z, dz, dn, da_z, da_n = candidate_gradients(
            dh, h, a_z, a_n, p_z, p_n, k, unit,
            UPDATE, CANDIDATE, UPDATE_SLOPE, CANDIDATE_SLOPE, K_Z, K_N,
        )  # fmt: skip
        da_z = tl.where(inside, da_z, 0.0)
        da_n = tl.where(inside, da_n, 0.0)
        du = product(da_n, w_n, PRECISION)
        dr = du * h
        da_r = tl.where(inside, dr * RESET_SLOPE(a_r, p_r, k, unit, K_R), 0.0)
        at = frame[:, None] * 3 * H + k[None, :]
        tl.store(d_gates + at, da_r, mask=inside)
        tl.store(d_gates + at + H, da_z, mask=inside)
        tl.store(d_gates + at + 2 * H, da_n, mask=inside)
        if P_R > 0:
            tl.store(d_values + at, dr, mask=inside)
        if P_Z > 0:
            tl.store(d_values + at + H, dz, mask=inside)
        if P_N > 0:
            tl.store(d_values + at + 2 * H, dn, mask=inside)
        kept = tl.where(inside, dh * z + du * RESET(a_r, p_r, k, unit, K_R), carry)
        # the next step's inputs are on their way while this one's products are computed
        frame, now_inside, d_h, h, a_r, a_z, a_n, _ = backward_inputs(
            s + 1, steps, d_out, h0, h_out, saved, starts, sizes, rows, row_of, k, unit,
            recurrence, g, d, B, T, H, D, HAS_H0,
        )  # fmt: skip
        back = product(da_r, w_r, PRECISION)
        back += product(da_z, w_z, PRECISION)
        carry = kept + back  # of a row that does not run, back is zero
        inside = now_inside
    if HAS_H0:
        at = (recurrence * B + row_of)[:, None] * H + k[None, :]
        tl.store(d_h0 + at, carry, mask=(rows < B)[:, None] & unit[None, :])


@triton.jit(do_not_specialize=["s", "B", "T"])
def step_resets(
    s, gates_x, w_hh, b_hh, h0, h_out, saved, starts, sizes, order, p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_H0: tl.constexpr, PRECISION: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """Step s, first half: a_r, a_z and r ⊙ h of a tile of units, into saved."""
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    t = tl.where(d == 0, s, T - 1 - s)
    size = tl.load(sizes + g * T + t)
    first_row = tl.program_id(1) * BLOCK_B
    if first_row < size:
        rows = first_row + tl.arange(0, BLOCK_B)
        running = rows < size
        row_of = tl.load(order + g * B + rows, mask=rows < B, other=0)
        before, known = frames_before(rows, running, t, d, g, T, starts, sizes)
        k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
        unit = k < H
        w = w_hh + recurrence.to(tl.int64) * 3 * H * H
        h_r = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
        h_z = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
        for j in range(0, H, BLOCK_K):
            m = j + tl.arange(0, BLOCK_K)
            h = previous_state(
                h_out, h0, before, known, running, m, m < H, row_of, recurrence, d, B, H, D, HAS_H0
            )
            at = w + k[None, :] * H + m[:, None]
            part = (m < H)[:, None] & unit[None, :]
            h_r += product(h, tl.load(at, mask=part, other=0.0), PRECISION)
            h_z += product(h, tl.load(at + H * H, mask=part, other=0.0), PRECISION)
        b = b_hh + recurrence * 3 * H + k
        frame = (tl.load(starts + g * (T + 1) + t) + rows) * D + d
        inside = running[:, None] & unit[None, :]
        x = gates_x + frame[:, None] * 3 * H + k[None, :]
        p_r += recurrence * P_R * K_R
        a_r = tl.load(x, mask=inside, other=0.0) + h_r
        a_r += tl.load(b, mask=unit, other=0.0)[None, :]
        a_z = tl.load(x + H, mask=inside, other=0.0) + h_z
        a_z += tl.load(b + H, mask=unit, other=0.0)[None, :]
        h = previous_state(
            h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0
        )
        keep = saved + frame[:, None] * 4 * H + k[None, :]
        tl.store(keep, a_r, mask=inside)
        tl.store(keep + H, a_z, mask=inside)
        tl.store(keep + 3 * H, RESET(a_r, p_r, k, unit, K_R) * h, mask=inside)


@triton.jit(do_not_specialize=["s", "B", "T"])
def step_candidates(
    s, gates_x, w_hh, b_hh, h0, h_out, saved, starts, sizes, order, p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_H0: tl.constexpr, PRECISION: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """Step s, second half: a_n into saved and the new states of a tile of units."""
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    t = tl.where(d == 0, s, T - 1 - s)
    size = tl.load(sizes + g * T + t)
    first_row = tl.program_id(1) * BLOCK_B
    if first_row < size:
        rows = first_row + tl.arange(0, BLOCK_B)
        running = rows < size
        row_of = tl.load(order + g * B + rows, mask=rows < B, other=0)
        before, known = frames_before(rows, running, t, d, g, T, starts, sizes)
        k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
        unit = k < H
        inside = running[:, None] & unit[None, :]
        frame = (tl.load(starts + g * (T + 1) + t) + rows) * D + d
        w = w_hh + recurrence.to(tl.int64) * 3 * H * H + 2 * H * H
        h_n = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
        for j in range(0, H, BLOCK_K):
            m = j + tl.arange(0, BLOCK_K)
            had = running[:, None] & (m < H)[None, :]
            u = tl.load(saved + frame[:, None] * 4 * H + 3 * H + m[None, :], mask=had, other=0.0)
            part = (m < H)[:, None] & unit[None, :]
            w_n = tl.load(w + k[None, :] * H + m[:, None], mask=part, other=0.0)
            h_n += product(u, w_n, PRECISION)
        p_z += recurrence * P_Z * K_Z
        p_n += recurrence * P_N * K_N
        keep = saved + frame[:, None] * 4 * H + k[None, :]
        z = UPDATE(tl.load(keep + H, mask=inside, other=0.0), p_z, k, unit, K_Z)
        x = gates_x + frame[:, None] * 3 * H + k[None, :]
        a_n = tl.load(x + 2 * H, mask=inside, other=0.0) + h_n
        a_n += tl.load(b_hh + recurrence * 3 * H + 2 * H + k, mask=unit, other=0.0)[None, :]
        n = CANDIDATE(a_n, p_n, k, unit, K_N)
        h = previous_state(
            h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0
        )
        tl.store(h_out + frame[:, None] * H + k[None, :], (1.0 - z) * n + z * h, mask=inside)
        tl.store(keep + 2 * H, a_n, mask=inside)


@triton.jit(do_not_specialize=["s", "B", "T"])
def step_candidate_gradients(
    s, d_out, w_hh, h0, h_out, saved, d_gates, d_values, d_carry,
    starts, sizes, order, p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_H0: tl.constexpr, PRECISION: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    RESET_SLOPE: tl.constexpr, UPDATE_SLOPE: tl.constexpr, CANDIDATE_SLOPE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """Step s counted from the last, first half: dh from the step after, then z's and n's gradients.

    d_carry [N, D, H] keeps what of each frame's dh passes its gates by, for the step before it:
    z ⊙ dh from here, and the share of r ⊙ h from the second half.
    """
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    t = tl.where(d == 0, T - 1 - s, s)
    size = tl.load(sizes + g * T + t)
    first_row = tl.program_id(1) * BLOCK_B
    if first_row < size:
        rows = first_row + tl.arange(0, BLOCK_B)
        running = rows < size
        row_of = tl.load(order + g * B + rows, mask=rows < B, other=0)
        # the frame after this one in processing order is the one before it in the other direction
        after, follows = frames_before(rows, running, t, 1 - d, g, T, starts, sizes)
        after = after * D + d
        k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
        unit = k < H
        inside = running[:, None] & unit[None, :]
        frame = (tl.load(starts + g * (T + 1) + t) + rows) * D + d
        dh = tl.load(d_out + frame[:, None] * H + k[None, :], mask=inside, other=0.0)
        dh += tl.load(
            d_carry + after[:, None] * H + k[None, :],
            mask=follows[:, None] & unit[None, :],
            other=0.0,
        )
        w = w_hh + recurrence.to(tl.int64) * 3 * H * H
        for j in range(0, H, BLOCK_K):
            m = j + tl.arange(0, BLOCK_K)
            had = follows[:, None] & (m < H)[None, :]
            gates = d_gates + after[:, None] * 3 * H + m[None, :]
            at = w + m[:, None] * H + k[None, :]
            part = (m < H)[:, None] & unit[None, :]
            w_r = tl.load(at, mask=part, other=0.0)
            w_z = tl.load(at + H * H, mask=part, other=0.0)
            dh += product(tl.load(gates, mask=had, other=0.0), w_r, PRECISION)
            dh += product(tl.load(gates + H, mask=had, other=0.0), w_z, PRECISION)
        before, known = frames_before(rows, running, t, d, g, T, starts, sizes)
        h = previous_state(
            h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0
        )
        keep = saved + frame[:, None] * 4 * H + k[None, :]
        z, dz, dn, da_z, da_n = candidate_gradients(
            dh, h,
            tl.load(keep + H, mask=inside, other=0.0),
            tl.load(keep + 2 * H, mask=inside, other=0.0),
            p_z + recurrence * P_Z * K_Z, p_n + recurrence * P_N * K_N, k, unit,
            UPDATE, CANDIDATE, UPDATE_SLOPE, CANDIDATE_SLOPE, K_Z, K_N,
        )  # fmt: skip
        at = frame[:, None] * 3 * H + k[None, :]
        tl.store(d_gates + at + H, da_z, mask=inside)
        tl.store(d_gates + at + 2 * H, da_n, mask=inside)
        if P_Z > 0:
            tl.store(d_values + at + H, dz, mask=inside)
        if P_N > 0:
            tl.store(d_values + at + 2 * H, dn, mask=inside)
        tl.store(d_carry + frame[:, None] * H + k[None, :], dh * z, mask=inside)


@triton.jit(do_not_specialize=["s", "B", "T"])
def step_reset_gradients(
    s, d_out, w_hh, h0, h_out, saved, d_gates, d_values, d_carry,
    starts, sizes, order, p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_H0: tl.constexpr, PRECISION: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    RESET_SLOPE: tl.constexpr, UPDATE_SLOPE: tl.constexpr, CANDIDATE_SLOPE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """Step s counted from the last, second half: r's gradients from all units' candidates."""
    recurrence = tl.program_id(2)
    g = recurrence // D
    d = recurrence % D
    t = tl.where(d == 0, T - 1 - s, s)
    size = tl.load(sizes + g * T + t)
    first_row = tl.program_id(1) * BLOCK_B
    if first_row < size:
        rows = first_row + tl.arange(0, BLOCK_B)
        running = rows < size
        row_of = tl.load(order + g * B + rows, mask=rows < B, other=0)
        k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
        unit = k < H
        inside = running[:, None] & unit[None, :]
        frame = (tl.load(starts + g * (T + 1) + t) + rows) * D + d
        w = w_hh + recurrence.to(tl.int64) * 3 * H * H + 2 * H * H
        du = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
        for j in range(0, H, BLOCK_K):
            m = j + tl.arange(0, BLOCK_K)
            had = running[:, None] & (m < H)[None, :]
            da_n = d_gates + frame[:, None] * 3 * H + 2 * H + m[None, :]
            part = (m < H)[:, None] & unit[None, :]
            w_n = tl.load(w + m[:, None] * H + k[None, :], mask=part, other=0.0)
            du += product(tl.load(da_n, mask=had, other=0.0), w_n, PRECISION)
        before, known = frames_before(rows, running, t, d, g, T, starts, sizes)
        h = previous_state(
            h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0
        )
        a_r = tl.load(saved + frame[:, None] * 4 * H + k[None, :], mask=inside, other=0.0)
        p_r += recurrence * P_R * K_R
        dr = du * h
        at = frame[:, None] * 3 * H + k[None, :]
        tl.store(d_gates + at, dr * RESET_SLOPE(a_r, p_r, k, unit, K_R), mask=inside)
        if P_R > 0:
            tl.store(d_values + at, dr, mask=inside)
        carried = d_carry + frame[:, None] * H + k[None, :]
        share = du * RESET(a_r, p_r, k, unit, K_R)
        tl.store(carried, tl.load(carried, mask=inside, other=0.0) + share, mask=inside)
