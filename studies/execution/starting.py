"""How worker processes start: as forks of a process that has imported what they need.

- Imports take a worker four seconds of processor time and 200 MB, which forks have for nothing.
  What has computed cannot be forked, for its threads would be missing; multiprocessing's fork
  server has imported only.
- Workers on GPUs import for themselves, as CUDA wants it, and so do those of other systems, whose
  libraries do not bear being forked.
- A fork server looks for modules where Python starts, not where this process does, and keeps the
  environment of its own start. So it is told the one when it starts, and each fork the other.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import torch

from studies.execution.interrupts import interrupts_blocked

IMPORTED = ["studies.execution.worker"]

_one_at_a_time = threading.Lock()


def start(
    devices: Sequence[torch.device], target: Callable[..., None], *arguments: Any
) -> BaseProcess:
    """Start a process that runs `target(*arguments)`, does not hear Ctrl-C and ends with this one.

    devices: all that processes like it will compute on. The process knows nothing of the main
    script, but has this process's environment.
    """
    with interrupts_blocked(), _no_main_module():
        if sys.platform == "linux" and all(device.type == "cpu" for device in devices):
            serve()
            process = multiprocessing.get_context("forkserver").Process(
                target=run, args=(dict(os.environ), target, *arguments), daemon=True
            )
            process.start()
            return process
        spawned = multiprocessing.get_context("spawn").Process(
            target=target, args=arguments, daemon=True
        )
        spawned.start()
        return spawned


def serve() -> None:
    """See that multiprocessing's fork server runs, with what workers import.

    One that somebody else has started serves, too; its forks import for themselves.
    """
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    with _one_at_a_time, _environment({"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}):
        multiprocessing.set_forkserver_preload(IMPORTED)
        forkserver.ensure_running()


def run(environment: Mapping[str, str], target: Callable[..., None], *arguments: Any) -> None:
    """What a fork does: the target, in the environment of the process that asked for it."""
    gc.freeze()  # of imports nothing is ever freed: nobody looks through them before each stack
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Let processes that start meanwhile have these variables."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Let processes that start meanwhile not run the main script again.

    They need nothing of it; and one without `if __name__ == "__main__":` would run its study again
    in each of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
