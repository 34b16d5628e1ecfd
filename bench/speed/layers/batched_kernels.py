"""The gate kernels of batched.py: all that is elementwise in a time step of R GRUs.

- The activations are the functions that kernels/gpu/triton_code.py writes from formulas, and the
  gradients' arithmetic is that of kernels/gpu/recurrence_kernels.py.

Axes: R recurrences, T steps, B rows, H units; a frame is (r * T + t) * B + row.
"""

# Triton reads these functions' source: no annotations but tl.constexpr, names short as in the maths
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from activations.kernels.gpu.recurrence_kernels import gate_gradients


@triton.jit(do_not_specialize=["t"])
def gates_forward(
    t, gates_x, gates_h, b_hh, h_out, saved, T, B, H,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
):  # fmt: skip
    """Step t: gates_x [R, T, B, 3H], gates_h [R, B, 3H] -> h_out [R, T, B, H], saved [R, T, B, 4H].

    gates_h is W_hh h without its bias; at step 0, where h is zero, it is not read.
    """
    r_index = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    unit = k < H
    inside = (rows < B)[:, None] & unit[None, :]
    later = inside & (t > 0)
    frame = (r_index * T + t) * B + rows
    x = gates_x + frame[:, None] * 3 * H + k[None, :]
    p = gates_h + (r_index * B + rows)[:, None] * 3 * H + k[None, :]
    b = b_hh + r_index * 3 * H + k
    a_r = tl.load(x, mask=inside, other=0.0) + tl.load(p, mask=later, other=0.0)
    a_r += tl.load(b, mask=unit, other=0.0)[None, :]
    a_z = tl.load(x + H, mask=inside, other=0.0) + tl.load(p + H, mask=later, other=0.0)
    a_z += tl.load(b + H, mask=unit, other=0.0)[None, :]
    h_n = tl.load(p + 2 * H, mask=later, other=0.0)
    h_n += tl.load(b + 2 * H, mask=unit, other=0.0)[None, :]
    r = RESET(a_r, b_hh, k, unit, 1)
    z = UPDATE(a_z, b_hh, k, unit, 1)
    a_n = tl.load(x + 2 * H, mask=inside, other=0.0) + r * h_n
    n = CANDIDATE(a_n, b_hh, k, unit, 1)
    h = tl.load(h_out + (frame - B)[:, None] * H + k[None, :], mask=later, other=0.0)
    tl.store(h_out + frame[:, None] * H + k[None, :], (1.0 - z) * n + z * h, mask=inside)
    keep = saved + frame[:, None] * 4 * H + k[None, :]
    tl.store(keep, a_r, mask=inside)
    tl.store(keep + H, a_z, mask=inside)
    tl.store(keep + 2 * H, a_n, mask=inside)
    tl.store(keep + 3 * H, h_n, mask=inside)


@triton.jit(do_not_specialize=["t"])
def gates_backward(
    t, d_out, h_out, saved, carry, d_gates, T, B, H,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr,
    RESET: tl.constexpr, UPDATE: tl.constexpr, CANDIDATE: tl.constexpr,
    RESET_SLOPE: tl.constexpr, UPDATE_SLOPE: tl.constexpr, CANDIDATE_SLOPE: tl.constexpr,
):  # fmt: skip
    """Step t: d_out [R, T, B, H], carry [R, B, H] -> d_gates [R, T, B, 4H]: n, r, z, recurrent n.

    carry holds what the step after gives back to this one's state, then z ⊙ dh for the one before.
    """
    r_index = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    k = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    unit = k < H
    inside = (rows < B)[:, None] & unit[None, :]
    frame = (r_index * T + t) * B + rows
    back = carry + (r_index * B + rows)[:, None] * H + k[None, :]
    dh = tl.load(d_out + frame[:, None] * H + k[None, :], mask=inside, other=0.0)
    dh += tl.load(back, mask=inside, other=0.0)
    h = tl.load(h_out + (frame - B)[:, None] * H + k[None, :], mask=inside & (t > 0), other=0.0)
    keep = saved + frame[:, None] * 4 * H + k[None, :]
    z, _dr, _dz, _dn, da_r, da_z, da_n, dh_n = gate_gradients(
        dh, h,
        tl.load(keep, mask=inside, other=0.0), tl.load(keep + H, mask=inside, other=0.0),
        tl.load(keep + 2 * H, mask=inside, other=0.0),
        tl.load(keep + 3 * H, mask=inside, other=0.0),
        saved, saved, saved, k, unit,
        RESET, UPDATE, CANDIDATE, RESET_SLOPE, UPDATE_SLOPE, CANDIDATE_SLOPE, 1, 1, 1,
    )  # fmt: skip
    at = d_gates + frame[:, None] * 4 * H + k[None, :]
    tl.store(at, da_n, mask=inside)
    tl.store(at + H, da_r, mask=inside)
    tl.store(at + 2 * H, da_z, mask=inside)
    tl.store(at + 3 * H, dh_n, mask=inside)
    tl.store(back, dh * z, mask=inside)
