"""Writing files that are there whole or not at all, also after kill -9 or a loss of power.

- What is written lies beside its place in a folder of its own, goes to the disk, and is renamed:
  two processes that write the same file each write their own, and the last one wins.
- Such a folder is locked by its process as long as that lives. So what a killed process left can be
  told from what another one is still writing, and is swept by whoever uses the place next.
- A folder takes the place of another in one step, where the system has one: there is always the old
  one or the new one.
- What is read from outside is a file: a pipe in its place would be waited for, a device read for
  ever.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activations.errors import GateswapError
from activations.lock_file import lock_file

MOST_TEXT = 1 << 28  # bytes: the plan of 100,000 members, the most there are, has a quarter
MOST_BYTES = 1 << 30  # of what is read whole, unless it is known better
UNFINISHED = ".unfinished"
_LEFTOVER = re.compile(rf"(.+)\.(?:\d+-)?[0-9a-f]{{8}}{re.escape(UNFINISHED)}", re.DOTALL)
SECONDS_UNLOCKED = 86_400.0  # how old a leftover is where the file system knows no locks


def file_bytes(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """All that a file holds. Raises OSError, also where a pipe, device or folder is there, or a
    file of more than `most` bytes.
    """
    with open(path, "rb", opener=lambda name, how: os.open(name, how | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most >> 20:,} MiB", str(path))
        return file.read()


def file_text(path: Path, *, most: int = MOST_TEXT) -> str:
    """The same as UTF-8. Raises UnicodeDecodeError, too."""
    return file_bytes(path, most=most).decode("utf-8")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file, text as UTF-8. Raises GateswapError naming the file and the system's reason."""
    with atomically(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomically(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Let the block write a file, or a folder of files, to the path it gets; then it is at `path`.

    A folder replaces the one that is there. durable: whether everything is on the disk before.
    Where the block raises, `path` stays as it was. Raises GateswapError for an OSError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _own_folder(path) as own:
            beside = own / path.name
            yield beside
            for each in (*beside.rglob("*"), beside) if durable else ():
                _to_disk(each)
            if beside.is_dir() and path.is_dir():
                _replace_folder(beside, path)
            else:
                beside.replace(path)
            if durable:
                _to_disk(path.parent)  # the rename itself
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise GateswapError(
            f"cannot write {path}: {reason}. What is finished is kept; mend it and run again"
        ) from error


@contextmanager
def alone_in(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Lock a folder against other processes that ask for it; the lock ends with this process.

    On file systems without locks a file stands in for it, which a warning says. Raises
    BlockingIOError where another process has it and this one shall not wait; OSError where there is
    no such folder.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        locked = _lock(handle, wait=wait)
        with contextlib.nullcontext() if locked else lock_file(folder, wait=wait):
            yield
    finally:
        os.close(handle)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left of `atomically` in a folder; what cannot be, stays.

    name: only what became of writing to this name; for folders that others keep things in.
    """
    for left in folder.glob(f"*{UNFINISHED}"):
        ours = _LEFTOVER.fullmatch(left.name)
        if ours is None or name not in (None, ours[1]):
            continue
        with contextlib.suppress(OSError):
            if not left.is_dir():  # as earlier versions left them
                left.unlink()
                continue
            with _held_by_nobody(left):
                shutil.rmtree(left)


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that this process holds, and that is gone in the end."""
    while True:
        own = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
        own.mkdir()
        handle = os.open(own, os.O_RDONLY)
        _lock(handle)
        if own.exists():  # else it was swept before it was locked
            break
        os.close(handle)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(handle)


@contextmanager
def _held_by_nobody(left: Path) -> Iterator[None]:
    """Hold a leftover. Raises OSError where its process lives, or may."""
    handle = os.open(left, os.O_RDONLY)
    try:
        if not _lock(handle, wait=False) and time.time() - left.stat().st_mtime < SECONDS_UNLOCKED:
            raise BlockingIOError
        yield
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool = True) -> bool:
    """Lock an open file or folder; False where the file system knows no locks.

    Raises BlockingIOError where another process has it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _replace_folder(new: Path, place: Path) -> None:
    """Put a folder of files in the place of another; in between there is always one of the two."""
    if _exchange(new, place):
        return  # the old one lies where the new one was, and goes with it
    files = sorted((path for path in new.rglob("*") if not path.is_dir()), key=_depth, reverse=True)
    kept = {path.relative_to(new) for path in files}
    for path in files:  # those at the top last: they speak for the others
        there = place / path.relative_to(new)
        there.parent.mkdir(parents=True, exist_ok=True)
        path.replace(there)
    for path in sorted(place.rglob("*"), key=_depth, reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # it is not empty
                path.rmdir()
        elif path.relative_to(place) not in kept:
            path.unlink()


def _depth(path: Path) -> int:
    return len(path.parts)


def _exchange(new: Path, place: Path) -> bool:
    """Let two folders change places in one step; False where the system cannot."""
    names = os.fsencode(new), os.fsencode(place)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            return bool(libc.renamex_np(*names, 2) == 0)  # RENAME_SWAP
        here = -100  # AT_FDCWD: names as this process has them
        return bool(libc.renameat2(here, names[0], here, names[1], 2) == 0)  # RENAME_EXCHANGE
    except AttributeError:
        return False


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
