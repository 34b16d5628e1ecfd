"""Commands of gateswap in processes that can be killed, without importing everything each time.

A program: it imports what commands use, then forks for each line that it reads (JSON: a folder and
arguments), prints the new process's number, and how it ended. The process is as real as one from a
shell, and so is its SIGKILL; only its imports are inherited. Nothing is computed before the fork:
torch's threads would not survive it.
"""

import json
import os
import random
import signal
import sys

# what the commands import at the top of their packages or on the way
IMPORTED = (
    *("gateswap", "studies.runner", "studies.training_run", "reports.study"),
    *("studies.terminal.display", "scipy.ndimage"),
    *("mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "optuna", "jinja2"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_pdf"),
)


def main() -> None:
    """Serve until the input ends."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name in IMPORTED:
        __import__(name)
    import gateswap
    from bench.corpora.library import librosa

    librosa()  # under its lock: others may be compiling it

    # one core: features are computed in the process itself, without workers that import it all
    os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
    print("ready", flush=True)
    for line in sys.stdin:
        folder, arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            os.setpgid(0, 0)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.dup2(os.open(os.environ["ZYGOTE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = 70
            try:
                code = gateswap.main(arguments)
            finally:
                os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
