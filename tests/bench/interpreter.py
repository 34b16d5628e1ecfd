"""Run a module of this folder in Triton's interpreter: a process of its own, one JSON document."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def interpret(name: str, cases: object) -> Any:
    """What tests/bench/{name}.py prints for `cases`, both JSON; its standard error if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name}"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
