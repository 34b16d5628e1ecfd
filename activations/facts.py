"""What is claimed about an activation, in a form that can be checked.

- A fact that nobody checks is a rumour: every field here is verified by the tests against the formula on the whole line, and
  estimated numerically for a formula that somebody typed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts of an activation at its initial parameters, on the real line.

    range: infimum and supremum of its values. monotone: whether it never decreases. odd: f(-x) = -f(x).
    zero_at_zero: f(0) = 0. lipschitz: the largest |slope|, inf where slopes are unbounded or the function jumps.
    smoothness: how many continuous derivatives it has: -1 for a jump, 0 for a kink, inf for a smooth one.
    """

    range: tuple[float, float]
    monotone: bool
    odd: bool
    zero_at_zero: bool
    lipschitz: float
    smoothness: float
