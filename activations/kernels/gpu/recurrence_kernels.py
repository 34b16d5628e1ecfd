"""Recurrence, Triton kernels: the whole sequence in one launch, or one launch for each time step.

- Up to 128 units the three recurrent matrices stay on chip: one program owns a tile of rows and
  walks all their time steps (`sequence_*`). Above that they do not fit (bf16 at H = 256 would need
  410 KiB of the 227 KiB a block may use on sm_90), so a step is one launch over tiles of units, and
  the matrices come from L2 (`step_*`).
- Same gate names as kernels/reference.py and kernels/cpu/gru.c. The activations are functions that
  kernels/gpu/triton_code.py writes from the formulas; they are passed as compile-time arguments.
- Frames are packed (kernels/packing.py): the rows that run at step t are the first sizes[g, t].
- A stored state is never read back across programs within a launch, so no barrier is needed and
  the same code runs in Triton's interpreter.

Axes: N frames, G groups, D directions, B rows, T steps, H units; `recurrence` = g * D + d.
"""

# Triton reads these functions' source: no annotations but tl.constexpr, names short as in the maths

import triton
import triton.language as tl

PRODUCTS = {"ieee": "tf32x3", "tf32": "tf32", "bf16": "bf16"}  # by what precision is computed


@triton.jit
def product(h, w, PRECISION: tl.constexpr):
    """State h [B, K] times w [K, H], accumulated in float32; PRECISION is ieee, tf32 or bf16.

    With bf16, either may be bfloat16 already, with the others both must be float32. ieee splits
    each number into two of tf32 and leaves out the product of the two small ones (Ootomo and
    Yokota, 2022): float32's accuracy, on tensor cores.
    """
    if PRECISION == "bf16":
        out = tl.dot(h.to(tl.bfloat16), w.to(tl.bfloat16))
    elif PRECISION == "tf32":
        out = tl.dot(h, w, input_precision="tf32")
    else:
        out = tl.dot(h, w, input_precision="tf32x3")
    return out


@triton.jit
def frames_before(rows, running, t, d, g, T, starts, sizes):
    """The frames that hold these rows' previous states, and which rows have one."""
    if d == 0:
        before = tl.load(starts + g * (T + 1) + tl.maximum(t - 1, 0)) + rows
        known = running & (t > 0)
    else:
        inside = t + 1 < T
        before = tl.load(starts + g * (T + 1) + t + 1) + rows
        known = running & (rows < tl.load(sizes + g * T + t + 1, mask=inside, other=0))
    return before, known


@triton.jit
def previous_state(
    h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0: tl.constexpr
):
    """States [rows, units k] before a step: from the frames already written, from h0, or zero."""
    at = (before * D + d)[:, None] * H + k[None, :]
    h = tl.load(h_out + at, mask=known[:, None] & unit[None, :], other=0.0)
    if HAS_H0:
        first = (recurrence * B + row_of)[:, None] * H + k[None, :]
        h += tl.load(h0 + first, mask=(running & ~known)[:, None] & unit[None, :], other=0.0)
    return h


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
        a_z = x_z + product(h, w_z, PRECISION) + b_z
        h_n = product(h, w_n, PRECISION) + b_n
        r = RESET(a_r, p_r, k, unit, K_R)
        z = UPDATE(a_z, p_z, k, unit, K_Z)
        a_n = x_n + r * h_n
        n = CANDIDATE(a_n, p_n, k, unit, K_N)
        h = tl.where(inside, (1.0 - z) * n + z * h, h)
        tl.store(h_out + frame[:, None] * H + k[None, :], h, mask=inside)
        if SAVE:
            keep = saved + frame[:, None] * 4 * H + k[None, :]
            tl.store(keep, a_r, mask=inside)
            tl.store(keep + H, a_z, mask=inside)
            tl.store(keep + 2 * H, a_n, mask=inside)
            tl.store(keep + 3 * H, h_n, mask=inside)


@triton.jit
def gate_gradients(
    dh, h, a_r, a_z, a_n, h_n, p_r, p_z, p_n, k, unit,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    RESET_SLOPE: tl.constexpr, UPDATE_SLOPE: tl.constexpr, CANDIDATE_SLOPE: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """From dh and what was saved: z, the gradients of the gates' values, and of their arguments."""
    r = RESET(a_r, p_r, k, unit, K_R)
    z = UPDATE(a_z, p_z, k, unit, K_Z)
    n = CANDIDATE(a_n, p_n, k, unit, K_N)
    dn = dh * (1.0 - z)
    dz = dh * (h - n)
    da_n = dn * CANDIDATE_SLOPE(a_n, p_n, k, unit, K_N)
    dr = da_n * h_n
    da_r = dr * RESET_SLOPE(a_r, p_r, k, unit, K_R)
    da_z = dz * UPDATE_SLOPE(a_z, p_z, k, unit, K_Z)
    return z, dr, dz, dn, da_r, da_z, da_n, da_n * r


@triton.jit
def store_gradients(
    d_gates, d_h_n, d_values, frame, k, inside, H, dr, dz, dn, da_r, da_z, da_n, dh_n,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
):  # fmt: skip
    """Write d_gates [N, D, 3H], d_h_n [N, D, H], and d_values [N, D, 3H] of learnable sites."""
    at = frame[:, None] * 3 * H + k[None, :]
    tl.store(d_gates + at, da_r, mask=inside)
    tl.store(d_gates + at + H, da_z, mask=inside)
    tl.store(d_gates + at + 2 * H, da_n, mask=inside)
    tl.store(d_h_n + frame[:, None] * H + k[None, :], dh_n, mask=inside)
    if P_R > 0:
        tl.store(d_values + at, dr, mask=inside)
    if P_Z > 0:
        tl.store(d_values + at + H, dz, mask=inside)
    if P_N > 0:
        tl.store(d_values + at + 2 * H, dn, mask=inside)


@triton.jit
def backward_inputs(
    s, steps, d_out, h0, h_out, saved, starts, sizes, rows, row_of, k, unit,
    recurrence, g, d, B, T, H, D, HAS_H0: tl.constexpr,
):  # fmt: skip
    """Read step s counted from the last: frames, which rows run, d_out, h before it, four saved.

    Beyond the last step it reads that one again, so that a loop may ask one step ahead.
    """
    s = tl.minimum(s, steps - 1)
    t = tl.maximum(tl.where(d == 0, steps - 1 - s, s), 0)
    running = rows < tl.load(sizes + g * T + t)
    frame = (tl.load(starts + g * (T + 1) + t) + rows) * D + d
    inside = running[:, None] & unit[None, :]
    before, known = frames_before(rows, running, t, d, g, T, starts, sizes)
    d_h = tl.load(d_out + frame[:, None] * H + k[None, :], mask=inside, other=0.0)
    h = previous_state(
        h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0
    )
    keep = saved + frame[:, None] * 4 * H + k[None, :]
    a_r = tl.load(keep, mask=inside, other=0.0)
    a_z = tl.load(keep + H, mask=inside, other=0.0)
    a_n = tl.load(keep + 2 * H, mask=inside, other=0.0)
    h_n = tl.load(keep + 3 * H, mask=inside, other=0.0)
    return frame, inside, d_h, h, a_r, a_z, a_n, h_n


@triton.jit(do_not_specialize=["B", "T"])
def sequence_backward(
    d_out, w_hh, h0, h_out, saved, d_gates, d_h_n, d_values, d_h0,
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
    frame, inside, d_h, h, a_r, a_z, a_n, h_n = backward_inputs(
        0, steps, d_out, h0, h_out, saved, starts, sizes, rows, row_of, k, unit,
        recurrence, g, d, B, T, H, D, HAS_H0,
    )  # fmt: skip
    for s in range(steps):
        dh = d_h + carry
        z, dr, dz, dn, da_r, da_z, da_n, dh_n = gate_gradients(
            dh, h, a_r, a_z, a_n, h_n, p_r, p_z, p_n, k, unit,
            RESET, UPDATE, CANDIDATE, RESET_SLOPE, UPDATE_SLOPE, CANDIDATE_SLOPE, K_R, K_Z, K_N,
        )  # fmt: skip
        store_gradients(
            d_gates, d_h_n, d_values, frame, k, inside, H,
            dr, dz, dn, da_r, da_z, da_n, dh_n, P_R, P_Z, P_N,
        )  # fmt: skip
        da_r = tl.where(inside, da_r, 0.0)
        da_z = tl.where(inside, da_z, 0.0)
        dh_n = tl.where(inside, dh_n, 0.0)
        kept = tl.where(inside, dh * z, carry)
        # the next step's inputs are on their way while this one's products are computed
        frame, now_inside, d_h, h, a_r, a_z, a_n, h_n = backward_inputs(
            s + 1, steps, d_out, h0, h_out, saved, starts, sizes, rows, row_of, k, unit,
            recurrence, g, d, B, T, H, D, HAS_H0,
        )  # fmt: skip
        back = product(da_r, w_r, PRECISION)
        back += product(da_z, w_z, PRECISION)
        back += product(dh_n, w_n, PRECISION)
        carry = kept + back  # of a row that does not run, back is zero
        inside = now_inside
    if HAS_H0:
        at = (recurrence * B + row_of)[:, None] * H + k[None, :]
        tl.store(d_h0 + at, carry, mask=(rows < B)[:, None] & unit[None, :])


@triton.jit(do_not_specialize=["s", "B", "T"])
def step_forward(
    s, gates_x, w_hh, b_hh, h0, h_out, saved, starts, sizes, order, p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_H0: tl.constexpr, SAVE: tl.constexpr, PRECISION: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """Step s of every recurrence (time s forward in time, T - 1 - s backward), a tile of units."""
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
        h_n = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
        for j in range(0, H, BLOCK_K):
            m = j + tl.arange(0, BLOCK_K)
            h = previous_state(
                h_out, h0, before, known, running, m, m < H, row_of, recurrence, d, B, H, D, HAS_H0
            )
            at = w + k[None, :] * H + m[:, None]
            part = (m < H)[:, None] & unit[None, :]
            h_r += product(h, tl.load(at, mask=part, other=0.0), PRECISION)
            h_z += product(h, tl.load(at + H * H, mask=part, other=0.0), PRECISION)
            h_n += product(h, tl.load(at + 2 * H * H, mask=part, other=0.0), PRECISION)
        b = b_hh + recurrence * 3 * H + k
        frame = (tl.load(starts + g * (T + 1) + t) + rows) * D + d
        inside = running[:, None] & unit[None, :]
        x = gates_x + frame[:, None] * 3 * H + k[None, :]
        p_r += recurrence * P_R * K_R
        p_z += recurrence * P_Z * K_Z
        p_n += recurrence * P_N * K_N
        a_r = tl.load(x, mask=inside, other=0.0) + h_r
        a_r += tl.load(b, mask=unit, other=0.0)[None, :]
        a_z = tl.load(x + H, mask=inside, other=0.0) + h_z
        a_z += tl.load(b + H, mask=unit, other=0.0)[None, :]
        h_n += tl.load(b + 2 * H, mask=unit, other=0.0)[None, :]
        r = RESET(a_r, p_r, k, unit, K_R)
        z = UPDATE(a_z, p_z, k, unit, K_Z)
        a_n = tl.load(x + 2 * H, mask=inside, other=0.0) + r * h_n
        n = CANDIDATE(a_n, p_n, k, unit, K_N)
        h = previous_state(
            h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0
        )
        tl.store(h_out + frame[:, None] * H + k[None, :], (1.0 - z) * n + z * h, mask=inside)
        if SAVE:
            keep = saved + frame[:, None] * 4 * H + k[None, :]
            tl.store(keep, a_r, mask=inside)
            tl.store(keep + H, a_z, mask=inside)
            tl.store(keep + 2 * H, a_n, mask=inside)
            tl.store(keep + 3 * H, h_n, mask=inside)


@triton.jit(do_not_specialize=["s", "B", "T"])
def step_backward(
    s, d_out, w_hh, h0, h_out, saved, d_gates, d_h_n, d_values, d_carry,
    starts, sizes, order, p_r, p_z, p_n, B, T, H, D,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
    HAS_H0: tl.constexpr, PRECISION: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    RESET_SLOPE: tl.constexpr, UPDATE_SLOPE: tl.constexpr, CANDIDATE_SLOPE: tl.constexpr,
    P_R: tl.constexpr, P_Z: tl.constexpr, P_N: tl.constexpr,
    K_R: tl.constexpr, K_Z: tl.constexpr, K_N: tl.constexpr,
):  # fmt: skip
    """Step s counted from the last: dh from the step after, then this step's gates.

    d_carry [N, D, H] keeps z ⊙ dh of each frame for the step before it.
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
            w_n = tl.load(at + 2 * H * H, mask=part, other=0.0)
            dh += product(tl.load(gates, mask=had, other=0.0), w_r, PRECISION)
            dh += product(tl.load(gates + H, mask=had, other=0.0), w_z, PRECISION)
            dh_n = tl.load(d_h_n + after[:, None] * H + m[None, :], mask=had, other=0.0)
            dh += product(dh_n, w_n, PRECISION)
        before, known = frames_before(rows, running, t, d, g, T, starts, sizes)
        h = previous_state(
            h_out, h0, before, known, running, k, unit, row_of, recurrence, d, B, H, D, HAS_H0
        )
        keep = saved + frame[:, None] * 4 * H + k[None, :]
        z, dr, dz, dn, da_r, da_z, da_n, dh_n = gate_gradients(
            dh, h,
            tl.load(keep, mask=inside, other=0.0), tl.load(keep + H, mask=inside, other=0.0),
            tl.load(keep + 2 * H, mask=inside, other=0.0),
            tl.load(keep + 3 * H, mask=inside, other=0.0),
            p_r + recurrence * P_R * K_R, p_z + recurrence * P_Z * K_Z,
            p_n + recurrence * P_N * K_N, k, unit,
            RESET, UPDATE, CANDIDATE, RESET_SLOPE, UPDATE_SLOPE, CANDIDATE_SLOPE, K_R, K_Z, K_N,
        )  # fmt: skip
        store_gradients(
            d_gates, d_h_n, d_values, frame, k, inside, H,
            dr, dz, dn, da_r, da_z, da_n, dh_n, P_R, P_Z, P_N,
        )  # fmt: skip
        tl.store(d_carry + frame[:, None] * H + k[None, :], dh * z, mask=inside)
