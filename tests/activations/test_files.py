"""Writing files: whole or not at all, whatever ends the writing."""

import contextlib
import os
from pathlib import Path

import pytest

from activations.errors import GateswapError
from activations.files import atomically, write_atomically


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
