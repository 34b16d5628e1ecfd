"""Elementwise functions that Triton's language lacks, in float32, for the code of the formulas.

- Made of Triton's own operations, not of a vendor's library: the same source runs on any GPU and in
  Triton's interpreter.
- NaN in, NaN out: `maximum` and `minimum` propagate it, as the reference does.
- Each is exact to a few units in the last place over all finite x; tests hold them against float64.
"""

import triton
import triton.language as tl


@triton.jit
def expm1(x):
    """e^x - 1: a series where the difference would cancel."""
    near = 1.0 + x * (0.125 + x * 0.0138888889)
    near = 1.0 + x * 0.2 * (1.0 + x * 0.166666667 * (1.0 + x * 0.142857143 * near))
    near = x * (1.0 + x * 0.5 * (1.0 + x * 0.333333333 * (1.0 + x * 0.25 * near)))
    return tl.where(tl.abs(x) < 0.5, near, tl.exp(x) - 1.0)


@triton.jit
def log1p(x):
    """ln(1 + x): what rounding 1 + x lost is given back as a factor (Goldberg, 1991)."""
    u = 1.0 + x
    return tl.where(u == 1.0, x, tl.log(u) * (x / tl.where(u == 1.0, 1.0, u - 1.0)))


@triton.jit
def tanh(x):
    """Hyperbolic tangent; polynomial of Cephes (Moshier, 1989) near zero."""
    z = x * x
    near = -5.70498872745e-3 * z + 2.06390887954e-2
    near = (near * z - 5.37397155531e-2) * z + 1.33314422036e-1
    near = (near * z - 3.33332819422e-1) * z * x + x
    far = 1.0 - 2.0 / (tl.exp(2.0 * tl.abs(x)) + 1.0)
    return tl.where(tl.abs(x) < 0.625, near, tl.where(x < 0.0, -far, far))


@triton.jit
def atan(x):
    """Arc tangent; reduction and polynomial of Cephes (Moshier, 1989)."""
    a = tl.abs(x)
    steep = a > 2.414213562
    middle = (a > 0.4142135624) & (a <= 2.414213562)
    safe = tl.where(steep, a, 1.0)
    u = tl.where(steep, -1.0 / safe, tl.where(middle, (a - 1.0) / (a + 1.0), a))
    base = tl.where(steep, 1.570796327, tl.where(middle, 0.7853981634, 0.0))
    z = u * u
    y = (8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1
    y = base + ((y * z - 3.33329491539e-1) * z * u + u)
    return tl.where(x < 0.0, -y, y)


@triton.jit
def sigmoid(x):
    """1 / (1 + e^-x); e^-x may overflow to infinity, and the quotient is then 0."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def softplus(x):
    """ln(1 + e^x) without overflow."""
    return maximum(x, 0.0) + log1p(tl.exp(-tl.abs(x)))


@triton.jit
def sign(x):
    """-1, 0 or 1."""
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, 0.0))


@triton.jit
def maximum(u, v):
    """The larger of two, NaN if either is."""
    return tl.maximum(u, v, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def minimum(u, v):
    """The smaller of two, NaN if either is."""
    return tl.minimum(u, v, propagate_nan=tl.PropagateNan.ALL)
