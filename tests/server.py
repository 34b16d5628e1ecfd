"""A server that a test starts as a process of its own: a port for it, and its first answer."""

import contextlib
import socket
import subprocess
import time
from urllib.request import Request, urlopen


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_answer(
    process: "subprocess.Popen[str] | subprocess.Popen[bytes]",
    request: str | Request,
    *,
    seconds: float,
) -> bytes:
    """What a server answers, as soon as it does; AssertionError where it ends or takes longer."""
    until = time.monotonic() + seconds
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        with contextlib.suppress(OSError), urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
        time.sleep(0.2)
