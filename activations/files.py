"""Writing files that are there whole or not at all, also after kill -9 or a loss of power.

- What is written lies beside its place under a name of its own, goes to the disk, and is renamed:
  two processes that write the same file each write their own, and the last one wins.
- Leftovers of killed processes end in UNFINISHED, so that whoever owns a folder can sweep it.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activations.errors import GateswapError

UNFINISHED = ".unfinished"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file, text as UTF-8. Raises GateswapError naming the file and the system's reason."""
    with atomically(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Let the block write a file, or a folder of files, to the path it gets; then it is at `path`.

    Where the block raises, `path` stays as it was. Raises GateswapError for an OSError.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            for each in (*beside.rglob("*"), beside):
                _to_disk(each)
            beside.replace(path)
            _to_disk(path.parent)  # the rename itself
        except BaseException:
            _remove(beside)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise GateswapError(
            f"cannot write {path}: {reason}. What is finished is kept; mend it and run again"
        ) from error


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
