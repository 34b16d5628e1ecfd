"""A decoder written in C that talks, kept quiet: whoever called it says what is wrong, in one line.

- libmpg123 writes what it finds in a damaged MP3 to stderr, hundreds of lines for a file, and
  libsndfile passes on no way to stop it. So the process's stderr leads nowhere meanwhile.
- That is one descriptor for all threads: one at a time, or the second would keep the first one's
  nowhere for good.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2

_alone = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that this process writes to stderr within the block is seen; keep it short."""
    with _alone:
        try:
            kept = os.dup(STDERR)
        except OSError:  # closed, as daemons have it: nobody sees anything
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, STDERR)
            yield
        finally:
            os.dup2(kept, STDERR)
            os.close(nowhere)
            os.close(kept)
