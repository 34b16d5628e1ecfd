"""What every implementation of the recurrence is asked to compute."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from activations.errors import InputError
from activations.formula.formula import Formula

SITES = ("update", "reset", "candidate")  # the order of formulas and parameters everywhere
Parameters = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Cell:
    """What a GRU computes: the formula at each of its three sites, and where the reset gate acts.

    reset_order "after" is torch's and cuDNN's, n = φ(W x + b + r ⊙ (U h + c)); "before" is Cho et
    al.'s (2014), n = φ(W x + b + U (r ⊙ h) + c).
    """

    update: Formula
    reset: Formula
    candidate: Formula
    reset_order: str = "after"

    def __post_init__(self) -> None:
        if self.reset_order not in ("after", "before"):
            raise InputError(f"reset must be 'after' or 'before', not {self.reset_order!r}")

    def __hash__(self) -> int:
        """Computed once: kernels are looked up by their cell at every call."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.update, self.reset, self.candidate, self.reset_order))

    def __getstate__(self) -> dict[str, object]:
        """The fields alone: a hash of text is another one in another process."""
        return {name: value for name, value in vars(self).items() if name != "_hash"}

    @property
    def formulas(self) -> tuple[Formula, Formula, Formula]:
        """(update, reset, candidate), the order of `recurrence`'s parameters."""
        return self.update, self.reset, self.candidate
