"""Stacks dealt to workers, wherever these are: who trains what, and what comes home of it.

- The queue is this process's own list. A worker is given a stack when it has said that it is ready.
- What a worker that ended had not finished is tried once more by another, and then reported as
  failed.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from studies.execution.engines import Finished, NamedStack, Reports, failure
from studies.execution.worker import Message


@dataclass
class Worker:
    """Who trains at a place: what it trains now, and why it said that it cannot go on."""

    place: str
    stack: NamedStack = ()
    again: bool = False  # whether another worker had this stack before
    unfinished: set[str] = field(default_factory=set)
    ready: bool = False
    reason: str = ""


class Dealer:
    """The stacks that wait, and what workers say of those that they were given."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[NamedStack, bool]] = deque()
        self._said: set[str] = set()

    def queue(self, stacks: Sequence[NamedStack]) -> None:
        """Let these stacks wait, in their order, and no others."""
        self._waiting = deque((stack, False) for stack in stacks)

    @property
    def waiting(self) -> int:
        """How many stacks wait."""
        return len(self._waiting)

    def deal(self, worker: Worker) -> NamedStack:
        """The stack that a worker has from now on; empty where it is not ready or none waits."""
        if not worker.ready or not self._waiting:
            return ()
        worker.stack, worker.again = self._waiting.popleft()
        worker.unfinished = {member_hash for member_hash, _ in worker.stack}
        worker.ready = False
        return worker.stack

    def hear(self, worker: Worker, message: Message, reports: Reports) -> None:
        """Take in what a worker says."""
        match message:
            case ("ready",):
                worker.stack, worker.ready = (), True
            case ("progress", stack, progress):
                reports.progress(worker.place, stack, progress)
            case ("checkpoint", states):
                reports.checkpoint(worker.place, states)
            case ("finished", done):
                worker.unfinished -= {member_hash for member_hash, _ in done.stack}
                reports.finished(worker.place, done)
            case ("say", text):
                if text not in self._said:  # workers find out the same
                    self._said.add(text)
                    reports.say(text)
            case ("failed", reason):
                worker.reason = f"cannot go on ({reason})"

    def lose(self, worker: Worker, how: str, reports: Reports, *, others: bool) -> None:
        """Go on without a worker: another one, if any is left, takes its stack on the first try.

        how: it ended, as said of "the worker on a place …".
        """
        ended = f"the worker on {worker.place} {how}"
        rest = [entry for entry in worker.stack if entry[0] in worker.unfinished]
        if rest and others and not worker.again:
            self._waiting.appendleft((rest, True))
            reports.say(f"warning: {ended}; another one takes its stack")
        elif rest:
            reports.finished(worker.place, Finished(rest, {}, failure(rest, ended)))
        else:
            reports.say(f"warning: {ended}")

    def give_up(self, place: str, why: str, reports: Reports) -> None:
        """Report all that wait as failed: nobody is left to train them."""
        while self._waiting:
            stack, _ = self._waiting.popleft()
            reports.finished(place, Finished(stack, {}, failure(stack, why)))


def hear_the_last(worker: Worker, message: Message, reports: Reports) -> None:
    """Take in what a worker had said before it was ended, of which only what is kept matters."""
    match message:
        case ("finished", done):
            reports.finished(worker.place, done)
        case ("checkpoint", states):
            reports.checkpoint(worker.place, states)
