"""A server and all its processes end with the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# a server that starts another process and says which group they are
SERVER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(os.getpgid(0), file=sys.stderr, flush=True)
time.sleep(60)
"""
PROGRAM = """
import os, sys
from studies.execution.attended import serve
sys.exit(serve([sys.executable, "-c", sys.argv[1]], os.environ))
"""


def started(server: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_server_s_processes_end_however_the_one_ends_that_started_it(how: signal.Signals) -> None:
    with started(SERVER) as process:
        assert process.stderr is not None
        group = int(process.stderr.readline())
        os.killpg(group, 0)
        process.send_signal(how)
    until = time.monotonic() + 30
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < until, "processes are left"
        time.sleep(0.05)


def test_a_server_that_ends_by_itself_says_how() -> None:
    with started("raise SystemExit(3)") as process:
        assert process.wait(30) == 3
