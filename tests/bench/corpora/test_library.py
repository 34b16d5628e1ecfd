"""librosa compiles into a folder that all processes share, and one of them at a time."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from activations.files import alone_in


def test_processes_with_caches_of_their_own_wait_for_each_other_to_compile(tmp_path: Path) -> None:
    found = find_spec("librosa")
    assert found is not None
    assert found.submodule_search_locations
    place = Path(found.submodule_search_locations[0])
    if not os.access(place, os.W_OK):
        pytest.skip("librosa's folder cannot be written, and numba keeps its code elsewhere")
    ask = "from bench.corpora.library import librosa; print('asks', flush=True); librosa()"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    with alone_in(place):
        process = subprocess.Popen(
            [sys.executable, "-c", ask], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "asks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
    assert process.wait(timeout=120) == 0
