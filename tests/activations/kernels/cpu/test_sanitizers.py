"""The C kernels under AddressSanitizer and UBSan: nothing is read or written beside an array."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


def runtime_of_the_sanitizer():
    """gcc's libasan, which has to be there before anything else is loaded."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc, which has the sanitizers' runtime")
    asked = ["gcc", "-print-file-name=libasan.so"]
    path = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip("this gcc came without AddressSanitizer")
    return Path(path).resolve()


def test_no_shape_reads_or_writes_beside_an_array(tmp_path):
    environment = os.environ | {
        "CC": "gcc",
        "LD_PRELOAD": str(runtime_of_the_sanitizer()),
        "ASAN_OPTIONS": "detect_leaks=0",
        "XDG_CACHE_HOME": str(tmp_path),
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": str(ROOT),
    }
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("sanitized.py"))],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-4000:]
    assert result.stdout.strip() == "no complaint"
