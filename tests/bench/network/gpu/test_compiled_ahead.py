"""The training step's GPU kernels, compiled for GPUs that need not be here."""

import json
from pathlib import Path

import pytest

from tests.interpreter import compiled

pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")


def test_kernels_of_the_training_step_compile_for_gpus_that_are_not_here() -> None:
    printed = compiled(Path(__file__).with_name("compiled_ahead.py"))
    shared = json.loads(printed)
    # 48 KiB: what a block may use on any GPU without asking for more
    assert all(used <= 48 * 1024 for kernel in shared.values() for used in kernel.values())
