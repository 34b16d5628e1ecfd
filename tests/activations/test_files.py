"""Writing files: whole or not at all, whatever ends the writing."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from activations import files
from activations.errors import GateswapError
from activations.files import alone_in, atomically, file_bytes, sweep, write_atomically


def test_a_write_that_fails_in_the_middle_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"first")

    def no_space(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(GateswapError, match=r"no space left on device\. What is finished is kept"):
        write_atomically(path, b"second, longer")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    with contextlib.suppress(RuntimeError), atomically(place) as beside:
        beside.mkdir()
        (beside / "first").write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomically(place) as beside:
        beside.mkdir()
        (beside / "first").write_text("1")
        assert not place.exists()
    assert [each.name for each in tmp_path.rglob("*")] == ["folder", "first"]


def test_a_written_file_can_be_read_by_whoever_may_read_others(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "ours", "text")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


HANGS = """
import sys, time
from pathlib import Path
from activations.files import atomically
with atomically(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    print("there", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGS, str(tmp_path / "file")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(signal.SIGKILL)
    (tmp_path / "thesis.unfinished").write_text("somebody's own")
    sweep(tmp_path, "another")
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.unfinished"]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_replaces_another_and_one_of_them_is_always_there(
    in_one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_one_step:  # as on file systems that cannot
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    place = tmp_path / "folder"
    (place / "only" / "before").mkdir(parents=True)
    (place / "page").write_text("old")
    (place / "only" / "file").write_text("old")
    with atomically(place) as beside:
        (beside / "new").mkdir(parents=True)
        (beside / "page").write_text("new")
        (beside / "new" / "file").write_text("new")
    there = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
    assert there == ["new", "new/file", "page"]
    assert (place / "page").read_text() == "new"
    assert list(tmp_path.iterdir()) == [place]


def test_folders_change_places_in_one_step(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert files._exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    assert (tmp_path / "b" / "a").exists()


def test_a_lock_keeps_others_out(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path),
        pytest.raises(BlockingIOError),
        alone_in(tmp_path, wait=False),
    ):
        pass


def test_a_file_system_without_locks_takes_files_as_it_does(
    tmp_path: Path, without_locks: None
) -> None:
    write_atomically(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_pipe_or_a_device_in_the_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    assert file_bytes(tmp_path / "file") == b"here"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="it is no file"):
            file_bytes(tmp_path / name)
