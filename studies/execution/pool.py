"""Several devices, or shares of a CPU: a worker process for each, and one queue of stacks.

- Stacks are dealt by this process (`dealing`), and each worker has a pipe: there is no lock that a
  killed worker could take with it. A worker that dies is noticed by the end of its pipe.
- Ctrl-C is let in only while waiting, so that no message is read in half. Then the workers are
  killed, which hold nothing but the stack they train, and what they had sent is still read.
"""

import contextlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.process import BaseProcess

import torch

from activations.errors import GateswapError
from activations.kernels.precision import precision
from bench.training.train import TrainingSettings
from studies.execution.dealing import Dealer, Worker, hear_the_last
from studies.execution.engines import NamedStack, Reports, States
from studies.execution.interrupts import uninterrupted
from studies.execution.sharing import spread
from studies.execution.starting import start
from studies.execution.worker import Job, Message, work
from studies.material import DataSource

SECONDS_TO_END = 10.0  # for a process whose pipe has ended or that was killed


@dataclass
class _Worker(Worker):
    """A process at the other end of a pipe."""

    process: BaseProcess = field(kw_only=True)
    pipe: Connection = field(kw_only=True)

    def send(self, stack: NamedStack, states: States) -> None:
        """Send it a stack and where its members are; where it is dead, its pipe's end will tell."""
        with contextlib.suppress(OSError):
            self.pipe.send((stack, states))


class Pool:
    """Trains stacks on several devices at once; workers start with the first stacks and stay.

    devices: a CPU as often as workers shall share its threads. memory: bytes that each may take of
    one; None: what is free.
    """

    def __init__(
        self,
        source: DataSource,
        settings: TrainingSettings,
        devices: Sequence[torch.device],
        *,
        memory: int | None = None,
    ) -> None:
        self._source, self._settings, self._memory = source, settings, memory
        self._devices = dict(zip(_places(devices), devices, strict=True))
        self._workers: list[_Worker] = []
        self._dealer = Dealer()

    def train(self, stacks: Sequence[NamedStack], reports: Reports) -> None:
        """Train the stacks, the longest first, each by the first worker that is free."""
        on_cpu = all(device.type == "cpu" for device in self._devices.values())
        self._dealer.queue(spread(stacks, len(self._devices), evenly=on_cpu))
        try:
            self._start()
            self._deal(reports)
            while self._dealer.waiting or any(worker.stack for worker in self._workers):
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
        threads = max(1, torch.get_num_threads() // len(self._devices))
        busy = {worker.place for worker in self._workers}
        for place, device in self._devices.items():
            if place in busy:
                continue
            here, there = Pipe()
            job = Job(
                self._source, self._settings, device, place, precision(), threads, self._memory
            )
            process = start(list(self._devices.values()), work, there, job)
            there.close()  # so that its end is this process's to notice
            self._workers.append(_Worker(place, process=process, pipe=here))

    def _deal(self, reports: Reports) -> None:
        """Give waiting stacks to the workers that are ready."""
        for worker in self._workers:
            if stack := self._dealer.deal(worker):
                worker.send(stack, reports.states(stack))

    def _receive(self, worker: _Worker, reports: Reports) -> None:
        """Read one message of a worker, or the end of its pipe."""
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker, reports)
        else:
            self._dealer.hear(worker, message, reports)

    def _lose(self, worker: _Worker, reports: Reports) -> None:
        """Go on without a worker, or without all."""
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(SECONDS_TO_END)
        how = worker.reason or _how_it_ended(worker.process)
        self._dealer.lose(worker, how, reports, others=bool(self._workers))
        if not self._workers:
            why = f"the worker on {worker.place} {how}, and no other is left"
            self._dealer.give_up(worker.place, why, reports)

    def _abandon(self, reports: Reports) -> None:
        """Kill the workers, and keep what they had sent."""
        workers = self._workers
        self.close()
        for worker in workers:
            with contextlib.suppress(EOFError, OSError, GateswapError):
                while worker.pipe.poll():
                    hear_the_last(worker, worker.pipe.recv(), reports)


def _places(devices: Sequence[torch.device]) -> list[str]:
    """What the devices are called; one that is there twice is numbered."""
    names = [str(device) for device in devices]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def _how_it_ended(process: BaseProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        return f"was killed ({signal.Signals(-code).name})"
    return f"ended with exit code {code}"
