"""Processes of their own for Triton, which decides when it is imported whether it interprets."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def interpret(module: str, cases: object) -> Any:
    """What `python -m tests.{module}` prints for `cases`, both JSON; fails as the module does."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.{module}"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=Path(__file__).parents[1],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


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
