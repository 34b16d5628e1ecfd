"""MKL hears of the mode it must round in, or the user hears that it did not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

USE = "torch.ones(64, 64) @ torch.ones(64, 64)"


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL")
@pytest.mark.parametrize(
    ("code", "warns"),
    [
        (f"import torch; {USE}; import bench", True),
        (f"import torch, bench; {USE}", False),
        (f"import bench, torch; {USE}; import bench.data.members", False),
    ],
    ids=["too late", "loaded but not used", "first"],
)
def test_mkl_used_before_bench_is_noticed_and_said(code: str, warns: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env=environment,
    )
    assert ("set MKL_CBWR=AUTO,STRICT before Python starts" in done.stderr) is warns
    assert bool(done.stderr) is warns
