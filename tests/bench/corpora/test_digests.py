"""Hashes of audio that are kept: never believed where a file could have changed."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench import untouched
from bench.corpora import digests
from bench.corpora.digests import digests_of, file_digest


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    path.write_bytes(b"one" * 100)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read, in order; files count as old from the start."""
    monkeypatch.setattr(untouched, "STILL", -1)
    seen: list[Path] = []

    def counted(path: Path) -> str:
        seen.append(path)
        return file_digest(path)

    monkeypatch.setattr(digests, "file_digest", counted)
    return seen


def test_a_second_look_reads_nothing_and_says_the_same(
    audio: Path, reads: list[Path], tmp_path: Path
) -> None:
    kept = tmp_path / "kept" / "digests.sqlite"
    first = digests_of([str(audio), str(audio)], kept)
    assert digests_of([str(audio)], kept) == first == {str(audio): file_digest(audio)}
    assert reads == [audio]


@pytest.mark.parametrize("how", ["written", "same time", "replaced", "copied over"])
def test_a_file_that_changed_is_read_again(
    audio: Path, reads: list[Path], tmp_path: Path, how: str
) -> None:
    kept = tmp_path / "digests.sqlite"
    digests_of([str(audio)], kept)
    before = audio.stat()
    time.sleep(0.02)  # longer than the file system's clock ticks
    other = tmp_path / "b.wav"
    other.write_bytes(b"two" * 100)
    if how == "written":
        audio.write_bytes(b"two" * 100)
    elif how == "same time":  # as `rsync -t` and `touch -r` do
        audio.write_bytes(b"two" * 100)
        os.utime(audio, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "replaced":
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.rename(audio)
    else:
        shutil.copy2(other, audio)
    assert digests_of([str(audio)], kept)[str(audio)] == file_digest(audio)
    assert len(reads) == 2


def test_a_file_that_was_changed_just_now_is_not_believed(audio: Path, tmp_path: Path) -> None:
    kept = tmp_path / "digests.sqlite"
    digests_of([str(audio)], kept)
    assert not kept.exists()


def test_a_table_of_other_columns_is_as_good_as_none(
    audio: Path, reads: list[Path], tmp_path: Path
) -> None:
    kept = tmp_path / "digests.sqlite"
    with closing(sqlite3.connect(kept)) as connection, connection:
        connection.execute("CREATE TABLE digests (device, digest)")
        connection.execute("INSERT INTO digests VALUES (1, ?)", ("0" * 128,))
    assert digests_of([str(audio)], kept)[str(audio)] == file_digest(audio)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(100)])
def test_a_broken_store_of_hashes_is_as_good_as_none(
    audio: Path, reads: list[Path], tmp_path: Path, content: bytes
) -> None:
    kept = tmp_path / "digests.sqlite"
    kept.write_bytes(content)
    assert digests_of([str(audio)], kept)[str(audio)] == file_digest(audio)
    assert digests_of([str(audio)], tmp_path)[str(audio)] == file_digest(audio)  # a folder
