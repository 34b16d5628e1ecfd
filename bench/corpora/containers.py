"""What an audio file's head promises, container by container: is as much there as it says?

- libsndfile reads a truncated WAV, AIFF, AU or sphere file as a shorter one without a word, so what
  the file itself states is compared with what is there: ten thousand heads in a second.
- A program that writes into a pipe cannot know the length when it writes the head. Such a file ends
  where it ends.
- Files are told apart by their first bytes, never by their names.
"""

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

# what programs state as a length when they write to a pipe: FFmpeg; others' largest numbers; SoX
# and eSpeak NG. Some leave the 0 that they meant to fill in later: see `promised`.
OPEN_LENGTHS = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0xFFFFFFFFFFFFFFFF)
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the GUIDs of its chunks
HEAD = 1024  # bytes of a sphere file's head
MOST_CHUNKS = 10_000
OGG_PAGE = 65_307  # bytes of the largest page

ByteOrder = Literal["big", "little"]
Chunk = tuple[bytes, int, int]  # name, place and length of its content


class Mended:
    """An open file that reads as if some bytes of it were others; of any length, without a copy."""

    def __init__(self, file: BinaryIO, place: int, content: bytes) -> None:
        self._file, self._place, self._content = file, place, content
        file.seek(0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of the file."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, mended."""
        at = self._file.tell()
        data = bytearray(self._file.read(size))
        for place, byte in enumerate(self._content, start=self._place - at):
            if 0 <= place < len(data):
                data[place] = byte
        return bytes(data)


def fault_of(file: BinaryIO, size: int) -> str:
    """What is wrong with a file of `size` bytes by its own word, to be read after its name, or "".

    The reader stands anywhere and is left anywhere.
    """
    file.seek(0)
    head = file.read(40)
    kind = head[:4]
    if kind in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _riff(file, head, size) if head[8:12] == b"WAVE" else ""
    if head[:16] == W64_RIFF:
        return _compare(*_chunk(_w64_chunks(file), b"data"), size)
    if kind == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        start, stated = _chunk(_chunks(file, "big"), b"SSND")
        return _compare(start, stated, size)
    if kind in (b".snd", b"dns."):
        order: ByteOrder = "big" if kind == b".snd" else "little"
        start, stated = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))
        return _compare(start, stated, size)
    if kind == b"caff":
        return _compare(*_chunk(_caf_chunks(file), b"data"), size)
    if head[:7] == b"NIST_1A":
        return _sphere(file, size)
    return _ogg(file, size) if head[:5] == b"OggS\0" else ""


def is_mpeg(file: BinaryIO) -> bool:
    """Whether libsndfile takes the file for MPEG audio: it begins with a frame, or with a tag."""
    file.seek(0)
    head = file.read(3)
    return head == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")


def open_wav(file: BinaryIO, size: int) -> tuple[int, int] | None:
    """Where a wav's samples begin and how many bytes there are, if its length was left 0.

    libsndfile takes a length of 0 at its word; any other open length it reads to the end.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    start, stated = _chunk(_chunks(file, "little"), b"data")
    sized = int.from_bytes(head[4:8], "little") == size - 8
    return (start, size - start) if start and stated == 0 and not sized else None


def _riff(file: BinaryIO, head: bytes, size: int) -> str:
    order: ByteOrder = "big" if head[:4] == b"RIFX" else "little"
    start = stated = long = 0
    seen_format = False
    for name, place, length in _chunks(file, order):
        if name == b"ds64":
            file.seek(place)
            long = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"fmt ":
            seen_format = True
        elif name == b"data":
            start, stated = place, length
            break
    if not start:
        return "is cut short: it ends within its header"
    if not seen_format:
        return "is not a wav file (it does not say its sample format)"
    if head[:4] in (b"RF64", b"BW64") and stated == 0xFFFFFFFF and long:
        stated = long
    sized = int.from_bytes(head[4:8], order) == size - 8
    if stated == 0 and (sized or size == start):
        return "holds no samples"
    return _compare(start, stated, size)


def _compare(start: int, stated: int, size: int) -> str:
    """The samples begin at byte `start`, are `stated` bytes by the file's word; it has `size`."""
    if not start:
        return "is cut short: it ends within its header"
    there = max(size - start, 0)
    if stated == 0 or stated in OPEN_LENGTHS:
        return "" if there else "holds no samples"
    if there < stated:
        return f"is cut short: {there:,} of {stated:,} bytes of samples are there"
    return ""


def _chunks(file: BinaryIO, order: ByteOrder) -> Iterator[Chunk]:
    """The chunks of an IFF file."""

    def understood(head: bytes) -> tuple[bytes, int, int]:
        length = int.from_bytes(head[4:], order)
        return head[:4], length, length + length % 2  # chunks begin at even bytes

    return _walk(file, 12, 8, understood)


def _w64_chunks(file: BinaryIO) -> Iterator[Chunk]:
    def understood(head: bytes) -> tuple[bytes, int, int]:
        length = int.from_bytes(head[16:], "little") - len(head)  # stated with the head
        name = head[:4] if head[4:16] == W64_TAIL else b""
        return name, max(length, 0), max(-(-length // 8) * 8, 0)

    return _walk(file, 40, 24, understood)


def _caf_chunks(file: BinaryIO) -> Iterator[Chunk]:
    def understood(head: bytes) -> tuple[bytes, int, int]:
        length = int.from_bytes(head[4:], "big")
        return head[:4], length, length

    return _walk(file, 8, 12, understood)


def _walk(
    file: BinaryIO, place: int, width: int, understood: Callable[[bytes], tuple[bytes, int, int]]
) -> Iterator[Chunk]:
    """The chunks from byte `place` on.

    understood: reads a chunk's head of `width` bytes as its name, the length of its content and the
    bytes from there to the next chunk.
    """
    size = sized(file)
    for _ in range(MOST_CHUNKS):
        if place + width > size:  # a length may be larger than any place that can be sought
            return
        file.seek(place)
        name, length, taken = understood(file.read(width))
        yield name, place + width, length
        place += width + taken


def _chunk(chunks: Iterator[Chunk], wanted: bytes) -> tuple[int, int]:
    """Place and length of the chunk called `wanted`; (0, 0) where there is none."""
    return next(((place, length) for name, place, length in chunks if name == wanted), (0, 0))


def _sphere(file: BinaryIO, size: int) -> str:
    """NIST's sphere: a head of text lines `name -type value`."""
    file.seek(0)
    words = [line.split() for line in file.read(HEAD).decode("latin-1").splitlines()]
    said = {line[0]: line[2] for line in words if len(line) == 3}
    numbers = [said.get(name, "") for name in ("sample_count", "sample_n_bytes", "channel_count")]
    if words[1:2] and words[1][0].isdecimal() and all(n.isdecimal() for n in numbers[:2]):
        count, width = int(numbers[0]), int(numbers[1])
        channels = int(numbers[2]) if numbers[2].isdecimal() else 1
        return _compare(int(words[1][0]), count * width * channels, size)
    return ""


def _ogg(file: BinaryIO, size: int) -> str:
    """Ogg says no length, but its last page says that it is the last."""
    file.seek(max(0, size - OGG_PAGE))
    tail = file.read()
    last = tail.rfind(b"OggS")
    if last < 0 or len(tail) < last + 27:
        return "is cut short: it ends within a page"
    segments = tail[last + 26]
    whole = last + 27 + segments + sum(tail[last + 27 : last + 27 + segments]) <= len(tail)
    ended = tail[last + 5] & 4  # the flag of a stream's last page
    return "" if whole and ended else "is cut short: its last page is missing"


def sized(file: BinaryIO) -> int:
    """How many bytes an open file has."""
    return file.seek(0, io.SEEK_END)
