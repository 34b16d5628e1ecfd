"""Several devices: one worker process for each, and one queue of stacks.

- The queue is this process's own list. Each worker has a pipe, and is sent a stack when it says
  that it is ready: there is no lock that a killed worker could take with it.
- A worker that dies is noticed by the end of its pipe. What it had not finished is tried once more
  by another, and then reported as failed.
- Ctrl-C is let in only while waiting, so that no message is read in half. Then the workers are
  killed, which hold nothing but the stack they train, and what they had sent is still read.
"""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from activations.errors import GateswapError
from bench.training.train import TrainingSettings
from studies.execution.engines import Finished, NamedStack, Reports, States, failure, work_of
from studies.execution.interrupts import interrupts_blocked, uninterrupted
from studies.execution.worker import Job, Message, work
from studies.material import DataSource

SECONDS_TO_END = 10.0  # for a process whose pipe has ended or that was killed


@dataclass
class _Worker:
    """A process, what it trains now, and why it said that it cannot go on."""

    place: str
    process: SpawnProcess
    pipe: Connection
    stack: NamedStack = ()
    again: bool = False  # whether another worker had this stack before
    unfinished: set[str] = field(default_factory=set)
    ready: bool = False
    reason: str = ""

    def give(self, stack: NamedStack, again: bool, states: States) -> None:
        """Send it a stack and where its members are; where it is dead, its pipe's end will tell."""
        self.stack, self.again, self.ready = stack, again, False
        self.unfinished = {member_hash for member_hash, _ in stack}
        with contextlib.suppress(OSError):
            self.pipe.send((stack, states))


class Pool:
    """Trains stacks on several devices at once; workers start with the first stacks and stay."""

    def __init__(
        self, source: DataSource, settings: TrainingSettings, devices: Sequence[torch.device]
    ) -> None:
        self._source, self._settings = source, settings
        self._devices = dict(zip(_places(devices), devices, strict=True))
        self._workers: list[_Worker] = []
        self._waiting: deque[tuple[NamedStack, bool]] = deque()
        self._said: set[str] = set()

    def train(self, stacks: Sequence[NamedStack], reports: Reports) -> None:
        """Train the stacks, the longest first, each by the first worker that is free."""
        self._waiting = deque((stack, False) for stack in _spread(stacks, len(self._devices)))
        try:
            self._start()
            self._deal(reports)
            while self._waiting or any(worker.stack for worker in self._workers):
                found: dict[object, _Worker] = {worker.pipe: worker for worker in self._workers}
                for pipe in wait([worker.pipe for worker in self._workers]):
                    with uninterrupted():
                        self._receive(found[pipe], reports)
                self._deal(reports)
        except BaseException:
            with uninterrupted():
                self._abandon(reports)
            raise

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join(SECONDS_TO_END)
        self._workers = []

    def _start(self) -> None:
        """Start a worker on each device that has none."""
        context = multiprocessing.get_context("spawn")  # a forked process could not use CUDA
        threads = max(1, torch.get_num_threads() // len(self._devices))
        precision = torch.get_float32_matmul_precision()
        busy = {worker.place for worker in self._workers}
        for place, device in self._devices.items():
            if place in busy:
                continue
            here, there = context.Pipe()
            job = Job(self._source, self._settings, device, place, precision, threads)
            process = context.Process(target=work, args=(there, job), daemon=True)
            with interrupts_blocked():
                process.start()
            there.close()  # so that its end is this process's to notice
            self._workers.append(_Worker(place, process, here))

    def _deal(self, reports: Reports) -> None:
        """Give waiting stacks to the workers that are ready."""
        for worker in self._workers:
            if worker.ready and self._waiting:
                stack, again = self._waiting.popleft()
                worker.give(stack, again, reports.states(stack))

    def _receive(self, worker: _Worker, reports: Reports) -> None:
        """Read one message of a worker, or the end of its pipe."""
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker, reports)
            return
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

    def _lose(self, worker: _Worker, reports: Reports) -> None:
        """Go on without a worker: another one takes its stack, if it is the stack's first try."""
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(SECONDS_TO_END)
        how = f"the worker on {worker.place} {worker.reason or _how_it_ended(worker.process)}"
        rest = [entry for entry in worker.stack if entry[0] in worker.unfinished]
        if rest and self._workers and not worker.again:
            self._waiting.appendleft((rest, True))
            reports.say(f"warning: {how}; another one takes its stack")
        elif rest:
            reports.finished(worker.place, Finished(rest, {}, failure(rest, how)))
        else:
            reports.say(f"warning: {how}")
        while self._waiting and not self._workers:
            stack, _ = self._waiting.popleft()
            why = failure(stack, f"{how}, and no other is left")
            reports.finished(worker.place, Finished(stack, {}, why))

    def _abandon(self, reports: Reports) -> None:
        """Kill the workers, and keep what they had sent."""
        workers = self._workers
        self.close()
        for worker in workers:
            with contextlib.suppress(EOFError, OSError, GateswapError):
                while worker.pipe.poll():
                    message = worker.pipe.recv()
                    if message[0] == "finished":
                        reports.finished(worker.place, message[1])
                    elif message[0] == "checkpoint":
                        reports.checkpoint(worker.place, message[1])


def _places(devices: Sequence[torch.device]) -> list[str]:
    """What the devices are called; one that is there twice is numbered."""
    names = [str(device) for device in devices]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def _spread(stacks: Sequence[NamedStack], devices: int) -> list[NamedStack]:
    """The stacks, longest first; some are halved where there are fewer than devices."""
    spread = list(stacks)
    while 0 < len(spread) < devices and any(len(stack) > 1 for stack in spread):
        largest = max((stack for stack in spread if len(stack) > 1), key=work_of)
        half = -(-len(largest) // 2)
        spread.remove(largest)
        spread += [largest[:half], largest[half:]]
    return sorted(spread, key=work_of, reverse=True)


def _how_it_ended(process: SpawnProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        return f"was killed ({signal.Signals(-code).name})"
    hint = '; a script needs `if __name__ == "__main__":` around what it runs on several devices'
    return f"ended with exit code {code}{hint if code == 1 else ''}"
