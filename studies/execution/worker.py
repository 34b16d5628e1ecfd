"""A worker: one process that trains stacks on one device and sends home what comes of them.

- It only computes: files, mirrors and the terminal belong to the process that started it.
- It must never outlive that process, whatever ends it, and does not hear Ctrl-C: the parent ends
  it.
- A device that is broken fails every stack that it is given. A worker whose device does not answer
  any more ends, and what it would have failed goes to others.
"""

import multiprocessing
import os
import threading
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Protocol

import torch

from activations.errors import GateswapError
from activations.kernels.precision import Precision, set_precision
from bench.training import memory
from bench.training.train import StackProgress, TrainingSettings
from studies.execution.engines import Finished, NamedStack, OneDevice, States
from studies.material import DataSource

SECONDS_BETWEEN_REPORTS = 0.2  # of a stack's progress: more often would not be seen


@dataclass(frozen=True)
class Job:
    """What a worker is started with.

    precision: of matrix products. share: bytes that it may take of its
    device's memory; None: what is free.
    """

    source: DataSource
    settings: TrainingSettings
    device: torch.device
    place: str
    precision: Precision
    threads: int
    share: int | None = None

    def free(self) -> int | None:
        """Bytes that a stack may count on: what is free, but not the shares of other workers."""
        known = [each for each in (memory.free_bytes(self.device), self.share) if each is not None]
        return min(known, default=None)


# What a worker sends is a name and what belongs to it: ("ready",), ("say", text),
# ("progress", stack, progress), ("checkpoint", states), ("finished", done); ("failed", reason) is
# its last word. It is sent stacks, each with the states of its members that were interrupted.
Message = tuple[Any, ...]


class HomeLine(Protocol):
    """What connects a worker with its home: a pipe, or what another engine has in its place."""

    def send(self, message: Message, /) -> None:
        """Send something home."""

    def recv(self) -> Any:
        """Wait for what is sent next. Raises EOFError where nothing will be."""


def work(home: HomeLine, job: Job) -> None:
    """Train every stack that comes until none does; a worker runs this and nothing else."""
    _leave_with_parent()
    reports = _Home(home, job.device)
    warnings.showwarning = reports.warn
    torch.set_num_threads(job.threads)
    set_precision(job.precision)
    try:
        if job.device.type == "cuda":
            torch.cuda.set_device(job.device)
        data = job.source.build(job.device)
        engine = OneDevice(data, job.settings, place=job.place, free=job.free)
        home.send(("ready",))
        while (given := home.recv()) is not None:
            stack, reports.interrupted = given
            engine.train([stack], reports)
            home.send(("ready",))
    except (EOFError, BrokenPipeError):
        return  # the other side has ended
    except Exception as error:  # whatever it is, it is this worker's end and no other's
        if os.environ.get("GATESWAP_TRACEBACK"):
            traceback.print_exc()
        home.send(("failed", f"{type(error).__name__}: {error}"))


class _BrokenDeviceError(GateswapError):
    """The device does not answer any more."""


class _Home:
    """Reports that are sent to the parent."""

    def __init__(self, home: HomeLine, device: torch.device) -> None:
        self._home, self._device = home, device
        self._last = 0.0  # when progress was sent
        self.interrupted: States = {}

    def say(self, text: str) -> None:
        """Send a line for the user."""
        self._home.send(("say", text))

    def progress(self, _place: str, stack: NamedStack, progress: StackProgress) -> None:
        """Send how far a stack is, if nothing was sent just now."""
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_REPORTS:
            self._last = now
            self._home.send(("progress", stack, progress))

    def finished(self, _place: str, done: Finished) -> None:
        """Send a stack that has ended. Raises _BrokenDeviceError where the device made it fail."""
        if done.error and not _answers(self._device):
            raise _BrokenDeviceError(done.error)
        self._home.send(("finished", done))

    def states(self, _stack: NamedStack) -> States:
        """Those that came with the stack."""
        return self.interrupted

    def checkpoint(self, _place: str, states: States) -> None:
        """Send where the members are, which is then where they go on if memory runs out."""
        self.interrupted = {**self.interrupted, **states}
        self._home.send(("checkpoint", states))

    def warn(self, message: Warning | str, *_: Any, **__: Any) -> None:
        """Send a warning."""
        self.say(f"warning: {' '.join(str(message).split())}")


def _answers(device: torch.device) -> bool:
    """Whether a device still computes: after an illegal access a GPU fails whatever is asked."""
    try:
        return bool(torch.ones(1, device=device).sum().item() == 1)
    except RuntimeError:
        return False


def _leave_with_parent() -> None:
    """Make this worker process end when the one that started it does, however that ended.

    A worker of a killed parent would wait for work for ever: the pool's queue never reports an
    end, for the worker itself holds a writing end of it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
