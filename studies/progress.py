"""How a study says what it is doing: a protocol for whoever shows it, and silence.

- Training must run in a notebook, a server or a test as it does in a terminal, so nothing below the
  command line knows what a bar is.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

Count = Callable[[int, int], None]  # called with how many are done, and of how many


@dataclass(frozen=True)
class StackAt:
    """How far a stack is: step of steps, the mean dev UAR of its members (NaN: none yet).

    work: what all of its steps take, in units that the stacks of a study share.
    """

    label: str
    members: int
    step: int
    steps: int
    dev_uar: float
    work: float


class TrainingView(Protocol):
    """Shows the training of a study's members. place: the device, "" where there is only one."""

    def step(self, place: str, at: StackAt) -> None:
        """A stack is so far."""

    def finish(self, place: str, at: StackAt, outcome: str) -> None:
        """A stack has ended."""


class Display(Protocol):
    """Shows what a study does."""

    def say(self, text: str) -> None:
        """A line that the user should know."""

    def counting(self, what: str) -> AbstractContextManager[Count]:
        """How many of something are done, while the block runs."""

    def training(self, members: int, work: float) -> AbstractContextManager[TrainingView]:
        """The training of so many members, which takes so much work, while the block runs."""


class Silent:
    """Shows nothing: Display and TrainingView."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def counting(self, what: str) -> Iterator[Count]:  # noqa: ARG002
        """A count that nobody sees."""
        yield lambda _done, _total: None

    @contextmanager
    def training(self, members: int, work: float) -> Iterator[TrainingView]:  # noqa: ARG002
        """Training that nobody sees."""
        yield self

    def step(self, place: str, at: StackAt) -> None:
        """Nothing."""

    def finish(self, place: str, at: StackAt, outcome: str) -> None:
        """Nothing."""


SILENT = Silent()
