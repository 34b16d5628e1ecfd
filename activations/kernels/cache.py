"""Where kernels are kept that were written or compiled for a formula.

- A file's name is a hash of all that its content depends on: the cache can be shared, is never
  stale, and may be deleted at any time.
- Many processes start at once with the same missing file. Each writes a file of its own and renames
  it into place: the last one wins, and all are the same.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

from activations.files import atomically


def keep(name: str, write: Callable[[Path], None]) -> Path:
    """The file of this name in the cache; where it is missing, `write` writes it first.

    write: makes the file that it is given. What it raises passes through, and then nothing
    is kept.
    """
    path = cache_folder() / name
    if path.exists():
        return path
    with atomically(path) as beside:
        write(beside)
    return path


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: gateswap/ in the user's cache folder.

    If that cannot be written, a temporary folder of this process, with a warning.
    """
    wanted = _user_cache() / "gateswap"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError as error:
        warnings.warn(
            f"compiled kernels cannot be kept in {wanted} ({error.strerror}) and will be compiled"
            " again next time; set XDG_CACHE_HOME to a folder that can be written",
            stacklevel=2,
        )
        return Path(_temporary_folder().name)


@cache
def _temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="gateswap-")  # kept, and removed at exit


def _user_cache() -> Path:
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"
