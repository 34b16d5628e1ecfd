"""Marks of files: whatever touches a file changes its mark, and a fresh one is not believed."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import untouched
from bench.untouched import mark_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(b"one" * 100)
    return path


def _write(file: Path) -> None:
    file.write_bytes(b"two" * 100)


def _replace(file: Path) -> None:
    other = file.with_name("b")
    _write(other)
    shutil.copystat(file, other)
    other.replace(file)


def _copy_over(file: Path) -> None:
    other = file.with_name("b")
    _write(other)
    shutil.copystat(file, other)
    shutil.copy2(other, file)


def _link_and_back(file: Path) -> None:
    os.link(file, file.with_name("b"))


@pytest.mark.parametrize("touch", [_write, _replace, _copy_over, _link_and_back, os.unlink])
def test_whatever_touches_a_file_changes_its_mark_although_its_time_is_set_back(
    file: Path, touch: Callable[[Path], None]
) -> None:
    before, times = mark_of(file), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    assert mark_of(file) == before
    time.sleep(0.02)  # longer than the file system's clock ticks
    touch(file)
    if file.exists():
        os.utime(file, ns=times)
    assert mark_of(file) != before


def test_a_file_that_was_read_does_not_change(file: Path) -> None:
    before = mark_of(file)
    time.sleep(0.02)
    assert file.read_bytes()
    assert mark_of(file) == before


def test_a_file_is_settled_only_if_it_had_not_changed_when_it_was_looked_at(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = mark_of(file)
    assert mark is not None
    assert not mark.settled
    later = time.time_ns() + untouched.STILL + 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert not mark.settled  # however long it was read
    again = mark_of(file)
    assert again is not None
    assert again.settled
    assert again == mark


def test_a_file_with_a_time_to_come_is_never_settled(file: Path) -> None:
    os.utime(file, (time.time() + 3600,) * 2)
    mark = mark_of(file)
    assert mark is not None
    assert not mark.settled


def test_what_is_no_file_has_no_mark(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [mark_of(tmp_path / name) for name in ("pipe", "none", ".")] == [None] * 3
