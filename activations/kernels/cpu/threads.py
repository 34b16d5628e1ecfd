"""The threads that compiled kernels run on: those torch has started already.

- torch's OpenMP threads spin for a while after each operation; threads of a second pool would share
  the cores with them. So kernels are compiled without OpenMP and are handed the one function of the
  runtime in this process that starts a parallel region.
- After a fork that runtime hangs in the child. There, and where it is another runtime, a kernel is
  handed nothing and makes threads of its own.
"""

import ctypes
import os
from functools import cache

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


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
