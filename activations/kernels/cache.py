"""Where kernels are kept that were written or compiled for a formula.

- A file's name is a hash of all that its content depends on, and a hash of the content: the cache
  can be shared, is never stale, and may be deleted at any time. A file that was cut short or
  changed is not what its name says; it is made again.
- What lies here is run. So a file is taken only from somebody who could run code as this user
  anyway: this user, root, or the owner of the folder; and only where nobody else can write to it.
- Many processes start at once with the same missing file. Each writes a file of its own and renames
  it into place: the last one wins, and all are the same.
- What was measured differs from one process to the next, and yet all must go by the same: there the
  first one wins (`agreed`).
"""

import hashlib
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

from activations.errors import GateswapError
from activations.files import atomically

_MODE = 0o755  # for whoever the cache is shared with


def keep(name: str, write: Callable[[Path], None]) -> Path:
    """A file of this name in the cache; where there is none, `write` writes it first.

    The path's last part is the name with a hash of the content before its suffix.
    write: makes the file that it is given. What it raises passes through, and then nothing is kept.
    """
    wanted = _user_cache()
    folder = None if wanted is None else wanted / "gateswap"
    if folder is not None and (found := _find(folder, name)):
        return found
    folder = cache_folder()
    if found := _find(folder, name):
        return found
    try:
        return _write(folder, name, write)
    except (OSError, GateswapError) as error:
        if isinstance(error, GateswapError) and not isinstance(error.__cause__, OSError):
            raise
        return _write(_instead_of(folder, error), name, write)


def agreed(name: str, measure: Callable[[], str]) -> str:
    """The line of text of this name in the cache; where there is none, what `measure` returns.

    All processes that share the cache go by the line of the first one that kept its own.
    """
    wanted = _user_cache()
    if wanted is not None and (found := _whole_line(wanted / "gateswap" / name)) is not None:
        return found
    path = cache_folder() / name
    if (found := _whole_line(path)) is not None:
        return found
    line = measure()
    try:
        return _first(path, line)
    except OSError as error:
        _instead_of(path.parent, error)
        return line


def _first(path: Path, line: str) -> str:
    """The line that is kept at `path`: this one, if there is none yet."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as place:
        made = Path(place) / path.name
        made.write_text(f"{line} {_checksum(line)}\n")
        made.chmod(0o644)
        try:
            os.link(made, path)  # which fails where there is one
        except OSError:
            if (found := _whole_line(path)) is not None:
                return found
            made.replace(path)  # in the place of what is no whole line; or nothing links here
    return line


def _whole_line(path: Path) -> str | None:
    """The line that is kept there, if it is trusted and all of it."""
    try:
        line, _, checksum = path.read_text().rstrip("\n").rpartition(" ")
        return line if is_trusted(path) and checksum == _checksum(line) else None
    except (OSError, UnicodeDecodeError):
        return None


def _checksum(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:24]


def _write(folder: Path, name: str, write: Callable[[Path], None]) -> Path:
    with tempfile.TemporaryDirectory(prefix="gateswap-") as place:
        made = Path(place) / name
        write(made)
        content = made.read_bytes()
    path = folder / _named(name, content)
    with atomically(path) as beside:
        beside.write_bytes(content)
        beside.chmod(_MODE)
    return path


def _find(folder: Path, name: str) -> Path | None:
    """The whole and trusted file of this name in the folder."""
    stem, suffix = os.path.splitext(name)
    try:
        for path in sorted(folder.glob(f"{stem}-*{suffix}")):
            if is_trusted(path) and path.name == _named(name, path.read_bytes()):
                return path
    except OSError:
        return None
    return None


def _named(name: str, content: bytes) -> str:
    stem, suffix = os.path.splitext(name)
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:24]}{suffix}"


def is_trusted(path: Path) -> bool:
    """Whether nobody could have put this file there who could not run code as this user anyway."""
    if not hasattr(os, "getuid"):
        return True
    file, folder = path.lstat(), path.parent.stat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return (
        stat.S_ISREG(file.st_mode)
        and not file.st_mode & others
        and file.st_uid in (os.getuid(), 0, folder.st_uid)
        and _is_guarded(folder)
    )


def _is_guarded(folder: os.stat_result) -> bool:
    """Whether nobody else can exchange files in it: in a sticky folder only their owners can."""
    open_to_others = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    sticky = folder.st_mode & stat.S_ISVTX
    owner = folder.st_uid in (os.getuid(), 0)
    return not open_to_others or bool(sticky and owner)


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: gateswap/ in the user's cache folder.

    If that cannot be written, or others can write to it, a temporary folder of this process, with a
    warning.
    """
    user = _user_cache()
    if user is None:
        return _instead_of(
            "a cache folder", "this user has no home; set HOME or XDG_CACHE_HOME to a folder"
        )
    wanted = user / "gateswap"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            pass
        if hasattr(os, "getuid") and not _is_guarded(wanted.stat()):
            return _instead_of(wanted, f"others can write to it; chmod go-w {wanted}")
    except OSError as error:
        return _instead_of(wanted, error)
    return wanted


def _instead_of(folder: Path | str, reason: Exception | str) -> Path:
    """A temporary folder of this process, and a warning that says why."""
    if isinstance(reason, OSError):
        reason = f"{reason.strerror}; set XDG_CACHE_HOME to a folder that can be written"
    warnings.warn(
        f"compiled kernels cannot be kept in {folder} and will be compiled again next time: "
        f"{reason}",
        stacklevel=3,
    )
    return Path(_temporary_folder().name)


@cache
def _temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="gateswap-")  # kept, and removed at exit


def _user_cache() -> Path | None:
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder)
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user id that nobody knows
        return None
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
