"""The threads that compiled kernels run on: those torch has started already.

- torch's OpenMP threads may spin for a while after each operation; threads of a second pool would
  share the cores with them. So kernels are compiled without OpenMP and are handed the one function
  of the runtime in this process that starts a parallel region.
- Spinning takes the time of whoever else uses the machine, and a step has hundreds of short
  operations: beside one busy process it made training several times slower (docs/speed.md). So
  threads sleep while they wait, unless the user has said how they shall wait.
- How many threads there are is what the system grants, not what the machine has.
- After a fork that runtime hangs in the child. There, and where it is another runtime, a kernel is
  handed nothing and makes threads of its own.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from activations.kernels.cpu.limits import cores

_forked = False
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def wait_asleep() -> None:
    """Let OpenMP's threads sleep while they wait; to be called before torch is imported.

    Nothing is changed where the environment says how they wait.
    """
    if not any(name in os.environ for name in _WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def take_granted_threads() -> int:
    """Let torch have no more threads than this process has cores; returns how many it has.

    A number in the environment is the user's choice and stays.
    """
    import torch

    if not any(os.environ.get(name) for name in _COUNTS):
        granted = cores()
        if granted < torch.get_num_threads():
            torch.set_num_threads(granted)
    return torch.get_num_threads()


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Let torch and the kernels use so many threads while the block runs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def parallel_region() -> int | None:
    """Address of the running OpenMP runtime's GOMP_parallel; None without one to be used."""
    return None if _forked else _find_parallel_region()


@cache
def _find_parallel_region() -> int | None:
    try:
        function = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None
    return ctypes.cast(function, ctypes.c_void_p).value
