"""NumPy's .npz files from memory: whole or refused, and fast where they are many and small.

- A study has thousands of result files with some 25 small arrays each. zipfile takes four times as
  long to find and open them as it takes to inflate them and to compare their checksums.
- The short way is taken by files as `np.savez_compressed` writes them, whole and with all checksums
  right. Whatever it does not understand is zipfile's to read or to refuse.
"""

import io
import math
import struct
import zipfile
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

# https://pkware.cachefly.net/webdocs/APPNOTE/APPNOTE-6.3.9.TXT, 4.3.7, 4.3.12 and 4.3.16
_LOCAL = struct.Struct("<4s5H3L2H")
_DIRECTORY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


class TooLargeError(zipfile.BadZipFile):
    """An archive that claims to unpack to more than it may."""


def unpack(content: bytes, *, most: int) -> dict[str, bytes]:
    """The files in an archive by name, their checksums compared; together at most `most` bytes.

    Raises TooLargeError, and whatever zipfile and zlib do, for what is not whole.
    """
    found = _plain(content, most)
    return _any(content, most) if found is None else found


def _plain(content: bytes, most: int) -> dict[str, bytes] | None:
    """The files of an archive that is whole and has no peculiarity; None of any other."""
    found: dict[str, bytes] = {}
    at = len(content) - _END.size
    try:
        end, disk, start_disk, here, total, size, start, comment = _END.unpack_from(content, at)
        if end != b"PK\5\6" or disk or start_disk or comment or here != total:
            return None
        if start + size != at:
            return None
        at = start
        for _ in range(total):
            entry = _DIRECTORY.unpack_from(content, at)
            signature, _, _, flags, method, _, _, checksum, packed, whole = entry[:10]
            names, extra, comment, _, _, _, place = entry[10:]
            name = content[at + _DIRECTORY.size : at + _DIRECTORY.size + names]
            at += _DIRECTORY.size + names + extra + comment
            most -= whole
            local = _LOCAL.unpack_from(content, place)
            begin = place + _LOCAL.size
            same = content[begin : begin + local[-2]] == name and local[0] == b"PK\3\4"
            known = signature == b"PK\1\2" and method == zipfile.ZIP_DEFLATED and not flags
            if not (same and known and most >= 0):
                return None
            begin += local[-2] + local[-1]
            data = zlib.decompressobj(-15).decompress(content[begin : begin + packed], whole + 1)
            if len(data) != whole or zlib.crc32(data) != checksum:
                return None
            found[name.decode("ascii")] = data
    except (struct.error, ValueError, zlib.error):
        return None
    return found if at == start + size and len(found) == total else None


def _any(content: bytes, most: int) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if sum(entry.file_size for entry in archive.infolist()) > most:
            raise TooLargeError(f"it claims more than {most >> 20} MiB")
        # zipfile compares no count, and one wrong length in the directory swallows what follows
        if len(names) != int.from_bytes(content[-12:-10], "little"):
            raise zipfile.BadZipFile("the directory lacks files")
        return {name: archive.read(name) for name in names}


def array(content: bytes) -> npt.NDArray[Any]:
    """The array of an .npy file: `np.lib.format.read_array`, with equal headers parsed once.

    NumPy parses each as Python, which took longer than all else of a study's many small arrays.
    """
    start = 10 + int.from_bytes(content[8:10], "little")
    if content[:8] == b"\x93NUMPY\x01\x00":
        shape, columns_first, dtype = _npy_header(content[8:start])
        count = math.prod(shape)
        if count > 0 and not columns_first and not dtype.hasobject:
            return np.frombuffer(content, dtype, count, start).reshape(shape).copy()
    return np.asarray(np.lib.format.read_array(io.BytesIO(content)))


@lru_cache(maxsize=1024)
def _npy_header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an array in version 1.0 of the format."""
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(content))
    return tuple(shape), bool(columns_first), np.dtype(dtype)
