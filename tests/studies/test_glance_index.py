"""The index of headers: it saves reading, and never says what a file does not."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from activations.errors import GateswapError
from bench import untouched
from bench.training.glance import Glance
from studies import glance_index
from studies.result_files import INDEX, ResultFolder
from studies.workspace import StudyFolder


@pytest.fixture(autouse=True)
def _small_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few files are worth an index, and those of this moment are noted."""
    monkeypatch.setattr(glance_index, "FEWEST", 1)
    monkeypatch.setattr(untouched, "STILL", 0)


def _nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Glance:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(Glance, "load", refuse)


def _everything_is_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    load = Glance.load

    def counted(path: Path) -> Glance:
        read.append(path)
        return load(path)

    monkeypatch.setattr(Glance, "load", counted)
    return read


def test_untouched_files_are_known_without_being_opened(
    finished: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ResultFolder(finished.results).glances()
    assert (finished.root / INDEX).exists()
    _nothing_is_read(monkeypatch)
    assert ResultFolder(finished.results).glances() == before


def _lose_a_part(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as opened:  # the same node and size
        opened.seek(size // 2)
        opened.write(bytes(64))


def _exchange(file: Path) -> None:
    beside = file.with_name("beside")
    beside.write_bytes(b"x" * file.stat().st_size)
    beside.replace(file)


@pytest.mark.parametrize("touch", [_lose_a_part, _exchange])
def test_a_file_that_was_changed_behind_its_time_of_change_is_read_again(
    finished: StudyFolder, touch: Callable[[Path], None]
) -> None:
    results = ResultFolder(finished.results)
    results.glances()
    file = results.file(min(results.hashes()))
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    time.sleep(0.05)  # some ticks of the system's clock, for STILL does not wait here
    touch(file)
    os.utime(file, ns=times)
    said: list[str] = []
    found = ResultFolder(finished.results).glances(report=said.append)
    assert file.stem not in found
    (message,) = said
    assert f"{file} is not a whole result file" in message


def test_a_file_of_this_moment_is_not_noted_for_it_may_change_within_a_tick(
    finished: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untouched, "STILL", 3600 * 10**9)
    ResultFolder(finished.results).glances()
    assert not (finished.root / INDEX).exists()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": 2}', '{"format": 1, "kinds": [], "files": {"0": [[], 0]}}'],
)
def test_an_index_that_says_nothing_is_written_anew(
    finished: StudyFolder, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ResultFolder(finished.results).glances()
    (finished.root / INDEX).write_text(content)
    read = _everything_is_read(monkeypatch)
    assert ResultFolder(finished.results).glances() == before
    assert len(read) == len(before)
    assert len(json.loads((finished.root / INDEX).read_text())["files"]) == len(before)


def test_members_whose_file_is_gone_leave_the_index_and_others_join_it(
    finished: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ResultFolder(finished.results)
    gone, *others = sorted(results.hashes())
    content = results.file(gone).read_bytes()
    results.file(gone).unlink()
    results.glances()
    results.file(gone).write_bytes(content)
    read = _everything_is_read(monkeypatch)
    assert ResultFolder(finished.results).glances().keys() == {gone, *others}
    assert read == [results.file(gone)]


def test_where_nothing_can_be_written_everything_is_read(
    finished: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes | str) -> None:
        raise GateswapError(f"{path}: read-only file system")

    monkeypatch.setattr(glance_index, "write_atomically", refuse)
    found = ResultFolder(finished.results).glances()
    assert found == ResultFolder(finished.results).glances()
    assert found
