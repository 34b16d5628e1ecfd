"""How a CPU's threads are shared: one stack after another on all, or several side by side on fewer.

- A step has parts that one thread does while the others wait. They take half of a small network's
  step on two threads and nothing of a large one's, whose single stack uses all threads well and
  loses less when it is interrupted.
- What is chosen is computed from numbers of operations and threads and from what is missing: the
  same at every start. Only memory that is short changes it.
- Workers cost seconds before they train, and memory: a study that is soon done does without.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from activations.wording import counted
from bench.data.batches import TrainingData
from bench.training import benefit, memory
from bench.training.train import TrainingSettings
from studies.execution.engines import NamedStack, work_of

START_UP = 6.0  # s of processor time that a worker takes before it trains, most of it for imports
WORKER = 256 << 20  # bytes that it holds before it trains, of its own
GAIN = 1.1  # by which workers must be faster than one process
ALIKE = 1.05  # within which the fewer workers are taken


@dataclass(frozen=True)
class Sharing:
    """So many stacks at once, each on so many threads. memory: bytes for each; None: not known."""

    workers: int
    threads: int
    memory: int | None = None

    def __str__(self) -> str:
        threads = counted(self.threads, "thread")
        return f"{self.workers} stacks side by side on the CPU, each on {threads}"


def share(
    stacks: Sequence[NamedStack],
    data: TrainingData,
    settings: TrainingSettings,
    *,
    threads: int,
    free: int | None,
) -> Sharing:
    """The fewest workers that are about as fast as any number of them, for stacks on a CPU.

    threads: that there are in all. free: bytes of free memory, if known. One worker is this
    process, where more would not be faster by a tenth, or would have to cut stacks for want of
    memory.
    """
    alone = Sharing(1, threads, free)
    most = min(threads, sum(map(len, stacks)))
    offers = [
        Sharing(workers, threads // workers, None if free is None else free // workers - WORKER)
        for workers in range(2, most + 1)
    ]
    expected = {
        offer: START_UP + _makespan(stacks, data, offer)
        for offer in offers
        if _fits(stacks, data, settings, offer)
    }
    best = min(expected.values(), default=math.inf)
    if best * GAIN > _makespan(stacks, data, alone):
        return alone
    return next(offer for offer, time in expected.items() if time <= best * ALIKE)


def spread(stacks: Sequence[NamedStack], places: int, *, evenly: bool = False) -> list[NamedStack]:
    """The stacks, longest first; some are halved where there are fewer than places to train at.

    evenly: until each place has as many, which pays where half a stack takes half the time, as on
    a CPU.
    """
    found = list(stacks)
    while (0 < len(found) < places or (evenly and len(found) % places)) and any(
        len(stack) > 1 for stack in found
    ):
        largest = max((stack for stack in found if len(stack) > 1), key=work_of)
        half = -(-len(largest) // 2)
        found.remove(largest)
        found += [largest[:half], largest[half:]]
    return sorted(found, key=work_of, reverse=True)


def _makespan(stacks: Sequence[NamedStack], data: TrainingData, offer: Sharing) -> float:
    """Seconds until all are trained, each stack by the first worker that is free."""
    ends = [0.0] * offer.workers
    known: dict[tuple[object, ...], float] = {}  # stacks of a shape and size take as long
    for stack in spread(stacks, offer.workers, evenly=True):
        members = [member for _, member in stack]
        alike = members[0].shape_group, len(members)
        if alike not in known:
            known[alike] = benefit.seconds(members, data, threads=offer.threads)
        heapq.heapreplace(ends, ends[0] + known[alike])
    return max(ends)


def _fits(
    stacks: Sequence[NamedStack], data: TrainingData, settings: TrainingSettings, offer: Sharing
) -> bool:
    """Whether no stack has to be cut because of what others take."""
    if offer.memory is None:
        return True
    largest: dict[tuple[object, ...], NamedStack] = {}
    for stack in stacks:
        shape = stack[0][1].shape_group
        if len(stack) > len(largest.get(shape, ())):
            largest[shape] = stack
    for stack in largest.values():
        members = [member for _, member in stack]
        pays = benefit.worthwhile_members(members, data, threads=offer.threads)
        if memory.room_for(members, data, settings, offer.memory, recorded=False) < pays:
            return False
    return True
