"""Hashes of audio files, kept so that a second look at twelve hours of audio need not read it all.

- A hash is believed only for a file that cannot have changed since (bench.untouched).
- What is kept is a convenience. Where it cannot be read or written, everything is hashed.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

from bench.untouched import Mark, mark_of

WAIT = 2.0  # seconds for another process that writes
_COLUMNS = "device, inode, size, content_ns, change_ns, digest"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (device INTEGER, inode INTEGER, size INTEGER, "
    "content_ns INTEGER, change_ns INTEGER, digest TEXT, PRIMARY KEY (device, inode)) "
    "WITHOUT ROWID"
)


def file_digest(path: Path) -> str:
    """Hash (128 hex digits) of a file's bytes. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def digests_of(paths: Iterable[str], kept: Path | None = None) -> Mapping[str, str]:
    """The hash of each file; `kept`: the database in which they are found and put.

    Raises OSError for a file that cannot be read.
    """
    wanted = list(dict.fromkeys(paths))
    known: dict[Mark | None, str] = dict(_load(kept)) if kept is not None else {}
    found: dict[str, str] = {}
    new: list[tuple[Mark, str]] = []
    for path in wanted:
        mark = mark_of(path)
        digest = known.get(mark)
        if digest is None:
            digest = file_digest(Path(path))
            if mark is not None and mark.settled:
                new.append((mark, digest))
        found[path] = digest
    if kept is not None and new:
        _save(kept, new)
    return found


def _load(database: Path) -> Iterator[tuple[Mark, str]]:
    if not database.exists():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=WAIT)) as connection:
        for *numbers, digest in connection.execute(f"SELECT {_COLUMNS} FROM digests"):
            if isinstance(digest, str) and len(digest) == 128:
                yield Mark(*numbers), digest


def _save(database: Path, new: Iterable[tuple[Mark, str]]) -> None:
    with suppress(sqlite3.Error, OSError):
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database, timeout=WAIT)) as connection, connection:
            connection.execute(_TABLE)
            connection.executemany(
                f"INSERT OR REPLACE INTO digests ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (each.device, each.inode, each.size, each.content_ns, each.change_ns, digest)
                    for each, digest in new
                ],
            )
