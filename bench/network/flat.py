"""What a step of Adam works on, whoever computes it: flat buffers and what lies where in them."""

from dataclasses import dataclass

from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba, and the defaults of torch and TensorFlow
ALIGNMENT = 16  # floats, a cache line: what vector loads of a kernel like best


@dataclass(frozen=True)
class Span:
    """Where one parameter lies in the buffers: [E, M, size], its rows of `width` numbers."""

    start: int
    tensors: int  # E
    size: int
    width: int
    decayed: bool


@dataclass(frozen=True, eq=False)
class Flat:
    """What a step works on: flat buffers, a span of them for each parameter, and the members'
    settings [M] float32.

    alive [M] bool: the members that still move. raw_epsilon: whether epsilon is added to the root
    of the second moment before that is corrected for the first steps, as TensorFlow does.
    """

    values: Tensor
    gradients: Tensor
    spans: tuple[Span, ...]
    rate: Tensor
    l2: Tensor
    clip: Tensor
    alive: Tensor
    raw_epsilon: bool = False

    @property
    def members(self) -> int:
        """M."""
        return len(self.alive)

    def of_member(self, buffer: Tensor, member: int) -> list[Tensor]:
        """Views of a member's numbers in a buffer laid out as `values`: of each span [E, size]."""
        return [
            buffer[span.start : span.start + span.tensors * self.members * span.size].view(
                span.tensors, self.members, span.size
            )[:, member]
            for span in self.spans
        ]
