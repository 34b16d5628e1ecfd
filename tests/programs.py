"""Python programs in processes of their own, without importing everything each time.

- A program is a fork of the fork server that workers of studies come from: as real as one from a
  shell, and so is its SIGKILL; only its imports are inherited.
- What depends on how Python itself starts needs `subprocess`.
"""

import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch

from studies.execution.starting import start


class Ended(NamedTuple):
    """How a program ended, as `subprocess.CompletedProcess` says it."""

    returncode: int
    stdout: str
    stderr: str


class Program:
    """A program that runs; `limits` are those of `resource.setrlimit`."""

    def __init__(self, text: str, *arguments: str, limits: dict[int, int] | None = None) -> None:
        self._said = tempfile.TemporaryDirectory()
        self._files = [str(Path(self._said.name) / name) for name in ("stdout", "stderr")]
        cpu = [torch.device("cpu")]
        self._process = start(cpu, _run, text, arguments, self._files, limits or {})

    @property
    def stdout(self) -> str:
        """What it has printed until now."""
        return self._read(0)

    @property
    def stderr(self) -> str:
        """What it has complained of until now."""
        return self._read(1)

    def poll(self) -> int | None:
        """Its exit code, or minus a signal; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def end(self, seconds: float) -> Ended:
        """Wait until it has ended; AssertionError where it takes longer."""
        self._process.join(seconds)
        code = self.poll()
        assert code is not None, self.stderr
        return Ended(code, self.stdout, self.stderr)

    def _read(self, number: int) -> str:
        file = Path(self._files[number])
        return file.read_text("utf-8") if file.exists() else ""


def _run(text: str, arguments: list[str], files: list[str], limits: dict[int, int]) -> None:
    """What the fork does: the program, as `python -c` would."""
    for handle, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), handle)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    sys.argv = ["-c", *arguments]
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(text, "<program>", "exec"), vars(main))
