"""librosa, imported by one process at a time.

- librosa compiles parts of itself with numba when they are first imported and keeps the machine
  code in a folder that all processes share. Two processes that do this at once can leave a mixture
  that crashes every later one with a segmentation fault, so the first import holds a lock.
"""

import fcntl
from functools import cache
from importlib import import_module
from types import ModuleType

from activations.kernels.cache import cache_folder

COMPILED = ("librosa.util", "librosa.core.audio", "librosa.core.pitch", "librosa.feature")


@cache
def librosa() -> ModuleType:
    """The module `librosa`, with what the features use of it imported and compiled."""
    with (cache_folder() / "librosa.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file
        for name in COMPILED:
            import_module(name)
        return import_module("librosa")
