"""A home for a user who has none: in a container whose user id nobody knows, and without HOME.

- MLflow, librosa and others ask for one where they are imported, and end with whatever Python says.
- It is lent for one command and its processes. What they keep there, such as compiled kernels, is
  made again next time, and that is said once.
"""

import os
import tempfile
import warnings
from functools import cache
from pathlib import Path


def lend_home() -> None:
    """Set HOME to a temporary folder, with a warning, where this user has no home."""
    try:
        Path.home()
    except RuntimeError:
        warnings.warn(
            "this user has no home, so compiled kernels and caches are made again next time; set "
            "HOME to a folder that can be written",
            stacklevel=2,
        )
        os.environ["HOME"] = _temporary().name


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="gateswap-home-")  # kept, and removed at exit
