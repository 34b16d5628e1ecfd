"""A server that runs as long as this process does, however that ends.

- A server starts processes of its own, and kill -9 of whoever started it would leave them all on
  the port. So a small process stands between: it leads a group with the server in it, reads a pipe
  that only this process writes to, and kills the group when the pipe ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

SECONDS_TO_END = 5.0  # for a server that was asked to

# what stands between: arguments are the pipe's handle and the server's command
_BETWEEN = """
import os, signal, subprocess, sys, threading
signal.signal(signal.SIGINT, signal.SIG_IGN)
def watch():
    os.read(int(sys.argv[1]), 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


def serve(
    command: Sequence[str],
    environment: Mapping[str, str],
    begun: Callable[[Callable[[], bool]], None] = lambda _: None,
) -> int:
    """Run a server until it ends, or Ctrl-C or SIGTERM end this process; its exit code.

    begun: called once it was started, with what says whether it runs.
    Raises KeyboardInterrupt after Ctrl-C.
    """
    end, ours = os.pipe()  # only this process has the writing end
    between = subprocess.Popen(
        [sys.executable, "-I", "-c", _BETWEEN, str(end), *command],
        stdin=subprocess.DEVNULL,
        stdout=sys.__stderr__,  # stdout is for what was asked for, and this is what a server says
        env=dict(environment),
        pass_fds=[end],
        start_new_session=True,
    )
    os.close(end)
    try:
        begun(lambda: between.poll() is None)
        return between.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):  # nobody is left in the group
            os.killpg(between.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                between.wait(SECONDS_TO_END)
            os.killpg(between.pid, signal.SIGKILL)
        os.close(ours)
