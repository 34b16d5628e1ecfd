"""Whether a file is still the one that was read, told without reading it again.

- A file is known again by its device, inode and size and by its times of change: of its content,
  and of anything, which nobody but the machine's clock sets. Whatever touches a file changes one.
- A file that changed a moment before it was looked at may change again within one tick of that
  clock, and nobody could tell: it is not to be believed.
"""

import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

STILL = 2_000_000_000  # nanoseconds without a change: FAT's clock ticks as slowly


@dataclass(frozen=True)
class Mark:
    """By what a file is known again; settled: it had not changed for long when it was looked at."""

    device: int
    inode: int
    size: int
    content_ns: int
    change_ns: int
    settled: bool = field(default=True, compare=False)


def mark_of(path: str | Path) -> Mark | None:
    """The mark of a file, to be taken before it is read; None where there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > STILL
    times = found.st_mtime_ns, found.st_ctime_ns
    return Mark(found.st_dev, found.st_ino, found.st_size, *times, settled=settled)
