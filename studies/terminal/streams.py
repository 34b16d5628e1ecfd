"""stdin, stdout and stderr as a command finds them: closed, full, or without a reader.

- Where one is closed, the next file that is opened would get its number, and what libraries print
  would be written into it. So closed ones become /dev/null.
- A terminal that is gone and a full disk under a log are no reason to end a training: what stderr
  cannot take is lost. stdout is what was asked for, and says that it is stdout that failed.
- A pipe whose reader is gone ends a command, as it ends others.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


class StreamFile(io.FileIO):
    """stdout or stderr, whose errors have a name or are none."""

    def write(self, data: "Buffer", /) -> int:
        """Write. Raises OSError, but of stderr only where its reader is gone."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            if self.fileno() == 2:
                return memoryview(data).nbytes
            raise OSError(error.errno, error.strerror, "stdout") from None


def prepare_streams() -> None:
    """Open what is closed, name what fails, and let what cannot be shown be ?"""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stdout is sys.__stdout__:  # and not what somebody captures it with
        sys.stdout = _prepared(sys.stdout, 1)
        sys.__stdout__ = sys.stdout  # type: ignore[misc, assignment] # flushed at the end, too
    if sys.stderr is sys.__stderr__:
        sys.stderr = _prepared(sys.stderr, 2)
        sys.__stderr__ = sys.stderr  # type: ignore[misc, assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show · shows ?
            stream.reconfigure(errors="replace")


def silence(stream: TextIO) -> None:
    """Let a stream that failed take, and forget, what is left for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _prepared(stream: TextIO | None, number: int) -> TextIO:
    if isinstance(getattr(getattr(stream, "buffer", None), "raw", None), StreamFile):
        assert stream is not None
        return stream
    if stream is not None:
        stream.flush()
    file = StreamFile(number, "w", closefd=False)
    lines = number == 2 or file.isatty()
    encoding = getattr(stream, "encoding", None)
    return io.TextIOWrapper(io.BufferedWriter(file), encoding, line_buffering=lines)
