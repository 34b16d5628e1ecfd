"""Checksums of a folder's files, part by part: what was written is what is read, years later.

- Disks flip bits and lose pages, and copies are cut short, without a word. A file of numbers still
  opens then, and every result is quietly wrong.
- CRC-32 finds every such fault but one in four billion, at the speed of memory. It is no defence
  against somebody who means harm: who can write the files can write their checksums.
- Big files are looked at in a sample whenever they are opened, and whole where somebody asks.
"""

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activations.files import file_text, write_atomically

FILE = "checksums.json"
PART = 1 << 22  # bytes
SAMPLE = 64  # parts: 256 MiB, a quarter of a second


def write(folder: Path) -> None:
    """Write the checksums of all files in `folder` beside them. Raises GateswapError, OSError."""
    sums = {}
    for file in sorted(path for path in folder.iterdir() if path.name != FILE):
        size = file.stat().st_size
        sums[file.name] = {"bytes": size, "crc32": list(_sums(file, range(_parts(size))))}
    write_atomically(folder / FILE, json.dumps({"part": PART, "files": sums}) + "\n")


def fault(folder: Path, *, whole: bool = False) -> str:
    """What differs from the checksums in `folder`, or ""; all of it is looked at where any does.

    whole: look at every part of every file, not at a sample of those with more than SAMPLE parts.
    Raises OSError where a file cannot be read, FileNotFoundError where there are no checksums.
    """
    text = file_text(folder / FILE)
    try:
        data = json.loads(text)
        if data["part"] != PART:
            return f"{FILE} has parts of {data['part']} bytes"
        for name, sums in data["files"].items():
            found = _fault(folder / name, sums, whole=whole)
            if found:
                return found
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return f"{FILE} cannot be understood: {type(error).__name__}"
    return ""


def _fault(file: Path, sums: dict[str, Any], *, whole: bool) -> str:
    size, expected = file.stat().st_size, sums["crc32"]
    if size != sums["bytes"]:
        return f"{file.name} has {size:,} bytes and not {sums['bytes']:,}"
    if len(expected) != _parts(size):
        return f"{FILE} has {len(expected):,} checksums of {file.name} and not {_parts(size):,}"
    stride = 1 if whole else -(-len(expected) // SAMPLE)
    first = time.time_ns() % stride  # another sample each time
    looked = range(first, len(expected), stride)
    if all(expected[n] == s for n, s in zip(looked, _sums(file, looked), strict=True)):
        return ""
    every = range(len(expected))
    wrong = sum(expected[n] != s for n, s in zip(every, _sums(file, every), strict=True))
    return f"{wrong:,} of {len(expected):,} parts of {file.name} are not what was written"


def _parts(size: int) -> int:
    return -(-size // PART)


def _sums(file: Path, parts: range) -> Iterator[int]:
    with file.open("rb") as content:
        for part in parts:
            content.seek(part * PART, os.SEEK_SET)
            yield zlib.crc32(content.read(PART))
