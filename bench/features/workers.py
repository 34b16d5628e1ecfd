"""Processes that compute parts: their own programs, ended with the process that started them.

- A worker imports this package and nothing of the caller's: a script that computes features needs
  no `if __name__ == "__main__"`, and a notebook no file.
- It reads its tasks from a pipe in a thread of its own, and the pipe's end is its own end, whatever
  ended the process at the other side.
- Ctrl-C is for the process that was started, however often: nothing here waits for a worker.
"""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from activations.errors import GateswapError
from activations.kernels.cpu.headroom import guard_imports
from bench.features.parts import Utterance, compute_part
from bench.features.settings import FeatureSettings

Task = tuple[Path, int, tuple[Utterance, ...], FeatureSettings]  # arguments of `compute_part`

PROGRAM = "import sys; sys.path[:] = {path!r}; from {module} import work; work({handle})"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class _Computing:
    process: "subprocess.Popen[bytes]"
    pipe: Connection


def compute_parts(tasks: Sequence[Task], jobs: int) -> Iterator[int]:
    """`compute_part` of each task in `jobs` processes; its results in the order they come.

    Raises what a part raises, and GateswapError where a process died. Whatever ends the iteration
    ends the processes; what they had not finished is lost.
    """
    waiting = deque(tasks)
    workers: list[_Computing] = []
    try:
        for _ in range(min(jobs, len(tasks))):
            workers.append(_start())  # noqa: PERF401  those that run are ended if another does not
        for worker in workers:
            _give(worker.pipe, waiting)
        for _ in tasks:
            pipe = wait([worker.pipe for worker in workers])[0]
            assert isinstance(pipe, Connection)
            done = _receive(pipe)
            _give(pipe, waiting)
            yield done
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.wait()
            worker.pipe.close()


def work(handle: int) -> None:
    """Compute every part that the pipe `handle` asks for; a worker runs this and nothing else."""
    guard_imports()  # the caller's limits are this process's, too
    home = Connection(handle)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                tasks.put(home.recv())
        os._exit(1)  # the other side has ended, and nobody wants what this one computes

    threading.Thread(target=listen, daemon=True).start()
    while True:
        try:
            done: int | Exception = compute_part(*tasks.get())
        except Exception as error:  # whatever it is, it is the caller's
            done = error if _travels(error) else RuntimeError(f"{type(error).__name__}: {error}")
        home.send(done)


def _start() -> _Computing:
    here, there = Pipe()
    program = PROGRAM.format(path=sys.path, module=__name__, handle=there.fileno())
    # blocked in the worker too, which inherits it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
            env=os.environ | dict.fromkeys(ONE_THREAD, "1"),
        )
    finally:
        there.close()  # so that its end is this process's to notice
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return _Computing(process, here)


def _give(pipe: Connection, waiting: "deque[Task]") -> None:
    """Send the next task; where the worker is dead, its pipe's end will tell."""
    if waiting:
        with contextlib.suppress(OSError):
            pipe.send(waiting.popleft())


def _receive(pipe: Connection) -> int:
    """What a worker has done. Raises what it raised, GateswapError where it died."""
    try:
        done: int | Exception = pipe.recv()
    except (EOFError, OSError):
        raise GateswapError(
            "a process that computes features died. Run it again to continue where it was, with "
            "fewer --jobs if memory was short."
        ) from None
    if isinstance(done, Exception):
        raise done
    return done


def _travels(error: Exception) -> bool:
    """Whether an exception is the same at the other side of a pipe."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # whatever pickle or the exception's own constructor raises
        return False
