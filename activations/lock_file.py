"""A lock for file systems that know none: a file that one process alone can create.

- To create a file that must not exist yet is one step on every file system, on NFS since version 3.
- Nobody removes the file of a process that was killed. So its owner touches it again and again, and
  one whose process is gone from this machine, or that was not touched for long, is taken over.
"""

import contextlib
import os
import secrets
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = ".lock"
TOUCHED = 10.0  # seconds between signs of life
ABANDONED = 120.0  # seconds without one: many times the cache of attributes that NFS keeps
POLL = 0.2  # seconds between attempts of who waits


@contextmanager
def lock_file(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a folder's lock file, and warn that it is needed.

    Raises BlockingIOError where another process has it and this one shall not wait.
    """
    place = folder / NAME
    warnings.warn(
        f"the file system of {folder} has no locks; the file {NAME} in it keeps other commands "
        f"out instead. What was killed on another machine does so for {ABANDONED / 60:.0f} minutes",
        stacklevel=4,
    )
    own = f"{_here()} {os.getpid()} {secrets.token_hex(8)}"
    while not _create(place, own):
        found = _abandoned(place)
        if found is not None and _take_over(place, found, own):
            continue
        if not wait:
            raise BlockingIOError(f"{place} is held by another process")
        time.sleep(POLL)
    ended = threading.Event()
    alive = threading.Thread(target=_keep_touching, args=(place, ended), daemon=True)
    alive.start()
    try:
        yield
    finally:
        ended.set()
        alive.join()
        with contextlib.suppress(OSError):
            if place.read_text() == own:  # else it was taken over while this process slept
                place.unlink()


def _create(place: Path, own: str) -> bool:
    """Whether the file is ours now, or cannot be anybody's: a folder that takes no files."""
    try:
        handle = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    except OSError:
        return True
    with os.fdopen(handle, "w") as file:
        file.write(own)
    return True


def _abandoned(place: Path) -> str | None:
    """What is in a file whose process is gone, or seems to be; None where it lives."""
    try:
        text, touched = place.read_text(), place.stat().st_mtime
        host, pid, _ = text.split(" ") if text.count(" ") == 2 else ("", "", "")
        if host == _here() and not _lives(int(pid)):
            return text
        with tempfile.TemporaryFile(dir=place.parent) as now:  # by the file system's clock
            return text if os.fstat(now.fileno()).st_mtime - touched > ABANDONED else None
    except (OSError, ValueError):  # it is gone, or nobody's: the next attempt tells
        return None


def _take_over(place: Path, abandoned: str, own: str) -> bool:
    """Remove an abandoned file; whether that was so. One process at a time does: else the second
    removes the first one's.
    """
    removing = place.with_name(f"{NAME}.removing")
    with contextlib.suppress(OSError):
        if _create(removing, own):
            try:
                if place.read_text() == abandoned:
                    place.unlink()
                    return True
            finally:
                removing.unlink()
        elif _abandoned(removing) is not None:
            removing.unlink()
    return False


def _keep_touching(place: Path, ended: threading.Event) -> None:
    while not ended.wait(TOUCHED):
        with contextlib.suppress(OSError):
            os.utime(place)


def _here() -> str:
    """This machine, and the part of it whose numbers of processes mean something here."""
    numbers = ""
    with contextlib.suppress(OSError):
        numbers = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()}:{numbers}".replace(" ", "_")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
