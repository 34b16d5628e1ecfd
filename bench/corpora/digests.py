"""Hashes of audio files, kept so that a second look at twelve hours of audio need not read it all.

- A hash is believed only for a file that cannot have changed since: same device, inode, size, time
  of change of its content and of its inode, which no copying program can set back. A file that was
  changed within two seconds of being read is read again: its clock may be too coarse to tell.
- What is kept is a convenience. Where it cannot be read or written, everything is hashed.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

RACY = 2_000_000_000  # nanoseconds
WAIT = 2.0  # seconds for another process that writes
_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (device INTEGER, inode INTEGER, size INTEGER, "
    "content_ns INTEGER, change_ns INTEGER, digest TEXT, PRIMARY KEY (device, inode)) "
    "WITHOUT ROWID"
)

_Identity = tuple[int, int, int, int, int]


def file_digest(path: Path) -> str:
    """Hash (128 hex digits) of a file's bytes. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def digests_of(paths: Iterable[str], kept: Path | None = None) -> Mapping[str, str]:
    """The hash of each file; `kept`: the database in which they are found and put.

    Raises OSError for a file that cannot be read.
    """
    wanted = list(dict.fromkeys(paths))
    known = dict(_load(kept)) if kept is not None else {}
    found: dict[str, str] = {}
    new: list[tuple[_Identity, str]] = []
    for path in wanted:
        before = _identity(path)
        digest = known.get(before)
        if digest is None:
            digest = file_digest(Path(path))
            settled = time.time_ns() - max(before[3:]) > RACY
            if settled and _identity(path) == before:
                new.append((before, digest))
        found[path] = digest
    if kept is not None and new:
        _save(kept, new)
    return found


def _identity(path: str) -> _Identity:
    about = os.stat(path)
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _load(database: Path) -> Iterator[tuple[_Identity, str]]:
    if not database.exists():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=WAIT)) as connection:
        for *identity, digest in connection.execute("SELECT * FROM digests"):
            if isinstance(digest, str) and len(digest) == 128:
                device, inode, size, content, change = identity
                yield (device, inode, size, content, change), digest


def _save(database: Path, new: Iterable[tuple[_Identity, str]]) -> None:
    with suppress(sqlite3.Error, OSError):
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database, timeout=WAIT)) as connection, connection:
            connection.execute(_TABLE)
            connection.executemany(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)",
                [(*identity, digest) for identity, digest in new],
            )
