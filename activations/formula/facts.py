"""What is claimed about an activation, in a form that can be checked.

- The tests verify every declared fact against its formula.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts of an activation at its initial parameters, on the real line.

    range: infimum and supremum of its values. monotone: whether it never decreases.
    odd: f(-x) = -f(x). zero_at_zero: f(0) = 0.
    lipschitz: the largest |slope|; inf where slopes are unbounded or the function jumps.
    smoothness: how many continuous derivatives it has: -1 for a jump, 0 for a kink, inf if smooth.
    """

    range: tuple[float, float]
    monotone: bool
    odd: bool
    zero_at_zero: bool
    lipschitz: float
    smoothness: float
