"""A home for a user who has none: in a container whose user id nobody knows, and without HOME.

- MLflow, librosa and others ask for one where they are imported, and end with whatever Python says.
- It is lent for one command and its processes. What they keep there, such as compiled kernels, is
  made again next time, and that is said once.
- matplotlib gets by without a folder of its own, but says so in three lines of its own.
"""

import atexit
import logging
import os
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path


def lend_home() -> None:
    """Set HOME to a temporary folder, with a warning, where this user has no home.

    And MPLCONFIGDIR, without one, where matplotlib could not write: figures only come later.
    """
    try:
        Path.home()
    except RuntimeError:
        warnings.warn(
            "this user has no home, so compiled kernels and caches are made again next time; set "
            "HOME to a folder that can be written",
            stacklevel=2,
        )
        os.environ["HOME"] = _temporary()
    if not _matplotlib_can_write():
        os.environ["MPLCONFIGDIR"] = _temporary()
        # that it looks for this machine's fonts, which it does once where it can keep them
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def _matplotlib_can_write() -> bool:
    given = os.environ.get("MPLCONFIGDIR")
    if not given:
        return os.access(Path.home(), os.W_OK)
    try:
        Path(given).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=given):
            return True
    except OSError:
        return False


@cache
def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="gateswap-home-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
