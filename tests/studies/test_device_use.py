"""What is used of the machine: workers count, too."""

import subprocess
import sys
from pathlib import Path

import pytest

from studies.device_use import _cpu_seconds, _held_by_workers

WORKER = """
import sys, time
held = bytearray(64 << 20)
while time.process_time() < 0.5:
    pass
print("done", flush=True)
sys.stdin.read()
"""
# as a fork server does, which started the workers
BETWEEN = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@pytest.mark.skipif(
    not list(Path("/proc/self/task").glob("*/children")), reason="the system lists no children"
)
@pytest.mark.parametrize("between", [[], [sys.executable, "-I", "-c", BETWEEN]])
def test_time_and_memory_of_processes_that_were_started_count(between: list[str]) -> None:
    seconds, held = _cpu_seconds(), _held_by_workers()
    with subprocess.Popen(
        [*between, sys.executable, "-I", "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "done\n"
        assert _cpu_seconds() - seconds >= 0.5 - 0.02  # ticks of 10 ms
        assert _held_by_workers() - held >= 64 << 20
        worker.communicate()
    assert _held_by_workers() - held < 64 << 20
