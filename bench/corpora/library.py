"""librosa, imported by one process at a time.

- librosa compiles parts of itself with numba when they are first imported and keeps the machine
  code in a folder that all processes share. Two processes that do this at once can leave a mixture
  that crashes every later one with a segmentation fault, so the first import holds a lock: on the
  folder itself, whatever cache or home each process has.
"""

import contextlib
import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from activations.files import alone_in
from activations.kernels.cache import cache_folder

COMPILED = ("librosa.util", "librosa.core.audio", "librosa.core.pitch", "librosa.feature")


@cache
def librosa() -> ModuleType:
    """The module `librosa`, with what the features use of it imported and compiled."""
    with alone_in(_where_numba_writes()):
        for name in COMPILED:
            import_module(name)
        return import_module("librosa")


def _where_numba_writes() -> Path:
    """The folder of what numba compiles: librosa's, or one of ours where that cannot be written, as
    in an installation of root's. There numba would find no place, and refuse to compile.
    """
    found = find_spec("librosa")
    places = found.submodule_search_locations if found else None
    if places and not all(os.access(place, os.W_OK) for place in places):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
    named = os.environ.get("NUMBA_CACHE_DIR")
    place = Path(named) if named else Path(places[0]) if places else cache_folder()
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        return place
    return cache_folder()  # numba will say what is wrong with its folder
