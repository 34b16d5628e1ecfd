"""MP3 that does not say how long it is, read to its end.

- Most encoders begin a file with a frame that holds no sound and says how many follow (Xing's). A
  recording of a stream has none, nor has what was cut out of a longer file. libmpg123 then guesses
  the length by the first frame's bit rate: a third of it, where the rate varies.
- Frames say their own lengths. So they are counted, and the decoder gets the file with such a first
  frame before it. That one does not say what to trim: the encoder's silence at both ends stays.
- Headers of frames: ISO/IEC 11172-3, 2.4.2.3, and ISO/IEC 13818-3 for the lower rates.
"""

import io
from dataclasses import dataclass
from typing import BinaryIO

# kbit/s of layer III by index, in version 1 and in the others
_KBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES = (44_100, 48_000, 32_000)  # Hz of version 1
_DIVISORS = {3: 1, 2: 2, 0: 4}  # of the rate in versions 1, 2 and 2.5, by the header's two bits
_LAYER_3 = 1
_TAGS = (b"TAG", b"APE", b"LYR", b"ID3")  # what players add after the last frame
_BEFORE_INFO = {(True, True): 21, (True, False): 36, (False, True): 13, (False, False): 21}


@dataclass(frozen=True)
class Frame:
    """A frame's length in bytes, and where in it the number of frames would be said."""

    length: int
    info: int


@dataclass(frozen=True)
class Counted:
    """An MP3 that does not say its length.

    start: where its first frame is. head: a frame that says it. fault: what is wrong with it by its
    frames, to be read after its name, or "".
    """

    start: int
    head: bytes
    fault: str


class Headed:
    """An open file from `start` on, with `head` before it, without a copy."""

    def __init__(self, file: BinaryIO, start: int, head: bytes) -> None:
        self._file, self._start, self._head = file, start, head
        self._size = file.seek(0, io.SEEK_END) - start + len(head)
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        most = self._size - self._at if size < 0 else size
        begun = self._head[self._at : self._at + most]
        self._file.seek(self._start + max(0, self._at - len(self._head)))
        data = begun + self._file.read(max(0, most - len(begun)))
        self._at += len(data)
        return data


def counted(file: BinaryIO, size: int) -> Counted | None:
    """The frames of an MP3 that does not say its length; None for whatever else it is."""
    start = place = _after_tag(file)
    first = found = _frame(file, start)
    if first is None or _frame(file, start + first.length) is None:
        return None
    file.seek(start)
    content = file.read(first.length)
    if content[first.info :][:4] in (b"Xing", b"Info") or content[36:40] == b"VBRI":
        return None
    frames = 0
    while found is not None:
        frames, place = frames + 1, place + found.length
        found = _frame(file, place)
    return Counted(start, _head(content[:4], frames), _fault(file, place, size))


def _after_tag(file: BinaryIO) -> int:
    """Where the file begins behind a tag of ID3."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    sizes = zip(head[6:], (21, 14, 7, 0), strict=True)
    length = sum((byte & 0x7F) << shift for byte, shift in sizes)
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _frame(file: BinaryIO, place: int) -> Frame | None:
    file.seek(place)
    return frame_of(file.read(4))


def frame_of(head: bytes) -> Frame | None:
    """What a header of four bytes says; None where it is none, or not of layer III."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    index, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if layer != _LAYER_3 or version not in _DIVISORS or index in (0, 15) or rate == 3:
        return None
    first, mono = version == 3, head[3] >> 6 == 3
    bits = _KBITS[not first][index] * 1_000
    length = (144 if first else 72) * bits * _DIVISORS[version] // _RATES[rate] + padding
    return Frame(length, _BEFORE_INFO[first, mono])


def _head(header: bytes, frames: int) -> bytes:
    """A frame without sound that says how many follow, before a first frame with this header."""
    plain = bytes([0xFF, header[1] | 1, header[2] & 0x0F | 0xE0, header[3]])  # no checksum; long
    frame = frame_of(plain)
    assert frame is not None
    said = plain.ljust(frame.info, b"\0") + b"Xing" + (1).to_bytes(4) + frames.to_bytes(4)
    return said.ljust(frame.length, b"\0")


def _fault(file: BinaryIO, end: int, size: int) -> str:
    """What is wrong with a file of `size` bytes whose last frame ends so."""
    if end > size:
        return f"is cut short: its last frame lacks {end - size:,} bytes"
    file.seek(end)
    rest = file.read()
    if rest.startswith(_TAGS) or not rest.strip(b"\0"):
        return ""
    return f"is damaged: {end:,} of its {size:,} bytes are MP3"
