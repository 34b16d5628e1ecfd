"""Processes of their own for Triton, which decides when it is imported whether it interprets."""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def interpret(module: str, cases: object) -> Any:
    """What `python -m tests.{module}` prints for `cases`, both JSON; fails as the module does."""
    with tempfile.TemporaryDirectory() as folder:
        given, found, errors = (Path(folder) / name for name in ("given", "found", "errors"))
        given.write_text(json.dumps(cases), "utf-8")
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        print(f"tests.{module}", given, found, errors, file=server.stdin, flush=True)
        assert server.stdout.readline() == "0\n", errors.read_text("utf-8")[-3000:]
        return json.loads(found.read_text("utf-8"))


@cache
def _server() -> "subprocess.Popen[str]":
    """`serve` in a process that interprets: to import torch and Triton takes four seconds."""
    server = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
    )
    atexit.register(server.kill)
    return server


def serve() -> None:
    """For each line "module input output errors" run that module in a fork; print how it ended.

    Nothing is computed before a fork: torch's threads would not survive it.
    """
    import_module("tests.triton_interpreter")
    import_module("bench.training.train")
    for line in sys.stdin:
        module, *files = line.split()
        child = os.fork()
        if child == 0:
            for number, (file, flags) in enumerate(
                zip(files, (os.O_RDONLY, *(os.O_WRONLY | os.O_CREAT,) * 2), strict=True)
            ):
                os.dup2(os.open(file, flags), number)
            sys.stdin = os.fdopen(0, encoding="utf-8")
            runpy.run_module(module, run_name="__main__")
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def compiled(*arguments: str | Path) -> str:
    """What `python {arguments}` prints where Triton compiles; fails as that does."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


if __name__ == "__main__":
    serve()
