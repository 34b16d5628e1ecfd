"""Room for native libraries: what is asked for is what they take, and it is asked in time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from activations.errors import GateswapError
from activations.kernels.cpu import headroom

TAKEN = """
import importlib, sys
from activations.kernels.cpu.headroom import NEEDS, _libraries_of_torch

def taken():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return [int(lines[name].split()[0]) >> 10 for name in ("VmSize", "VmData")]

for name in NEEDS:
    if importlib.util.find_spec(name) is None:
        continue
    before = taken()
    importlib.import_module(name)
    if name == "scipy":
        import scipy.stats
    libraries = _libraries_of_torch() >> 20 if name == "torch" else 0
    space, private = (now - then for now, then in zip(taken(), before))
    print(name, space - libraries, private)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_libraries_take_no_more_than_what_is_asked_for() -> None:
    paths = os.pathsep.join(sys.path)
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TAKEN], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert {"numpy", "torch"} < {name for name, _, _ in rows}
    half = headroom.SPARE // headroom.MIB // 2  # other versions and machines take a little more
    for name, space, private in rows:
        need = headroom.NEEDS[name]
        assert int(space) <= need.space + half, name
        assert int(private) <= need.private + half, name


def test_a_machine_with_less_memory_than_torch_fills_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: {128 << 10} kB\n")
    headroom.check_room("numpy", tmp_path)
    with pytest.raises(GateswapError, match=r"has 131,072 KiB in all, and torch needs at least"):
        headroom.check_room("torch", tmp_path)


def test_every_thread_of_a_library_needs_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(128)), raising=False)
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert headroom._threads() == headroom.BLAS_THREADS
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    assert headroom._threads() == 16
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    assert headroom._threads() == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "of,a,list")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    assert headroom._threads() == headroom.BLAS_THREADS
