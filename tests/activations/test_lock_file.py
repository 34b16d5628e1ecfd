"""Locks of file systems that have none: a file that one process alone can create."""

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from activations.files import alone_in
from activations.lock_file import ABANDONED, NAME, lock_file

pytestmark = [
    pytest.mark.usefixtures("without_locks"),
    pytest.mark.filterwarnings("ignore:the file system of"),
]


def test_a_lock_file_keeps_others_out_is_told_and_is_gone_in_the_end(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with alone_in(tmp_path):
            assert [path.name for path in tmp_path.iterdir()] == [NAME]
            with pytest.raises(BlockingIOError), alone_in(tmp_path, wait=False):
                pass
    assert f"the file system of {tmp_path} has no locks" in str(said[0].message)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_of_this_machine_left_is_taken_over_at_once(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from activations.lock_file import lock_file\n"
        "with lock_file(pathlib.Path(sys.argv[1]), wait=False): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, stderr=-3)
    assert (tmp_path / NAME).exists()
    with lock_file(tmp_path, wait=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_machine_s_lock_is_taken_over_when_nobody_touched_it_for_long(
    tmp_path: Path,
) -> None:
    (tmp_path / NAME).write_text("elsewhere:pid 1 0123")
    with pytest.raises(BlockingIOError), lock_file(tmp_path, wait=False):
        pass
    old = time.time() - ABANDONED - 5
    os.utime(tmp_path / NAME, (old, old))
    with lock_file(tmp_path, wait=False):
        assert "elsewhere" not in (tmp_path / NAME).read_text()
    assert list(tmp_path.iterdir()) == []


def test_an_abandoned_lock_that_cannot_be_removed_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_text("elsewhere:pid 1 0123")
    os.utime(tmp_path / NAME, (0, 0))
    remove = Path.unlink

    def refuse(file: Path, missing_ok: bool = False) -> None:
        if file.name == NAME:  # another user's, in a sticky folder
            raise PermissionError
        remove(file, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(BlockingIOError), lock_file(tmp_path, wait=False):
        pass


def test_of_many_who_find_an_abandoned_lock_one_at_a_time_has_it(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("elsewhere:pid 1 0123")
    os.utime(tmp_path / NAME, (0, 0))
    inside, most = [], []

    def enter() -> None:
        with lock_file(tmp_path, wait=True):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    assert list(tmp_path.iterdir()) == []
