"""What is said about a corpus whose names or recordings are nearly one."""

import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from bench.corpora.corpus import COLUMNS, Corpus
from bench.corpora.names import confusable, find_file, skeleton
from bench.data.protocol import Protocol
from bench.data.suspicions import suspicions


def corpus_of(root: Path, rows: list[dict[str, object]]) -> Corpus:
    """One utterance for each row; `audio` is what its file holds."""
    table = []
    for number, row in enumerate(rows):
        path = root / f"{number}.wav"
        path.write_bytes(str(row.pop("audio", number)).encode() * 100)
        cells = dict.fromkeys(COLUMNS, "") | {"improvised": False, "label": "ang", "speaker": "A"}
        cells |= {"id": f"u{number}", "audio": str(path), "dialog": f"u{number}", "turn": 0}
        table.append(cells | row)
    return Corpus(name="by hand", root=root, table=pd.DataFrame(table))


def test_a_corpus_without_doubt_has_no_suspicions(tmp_path: Path) -> None:
    rows = [{"speaker": name, "label": label} for name in "AB" for label in ("ang", "neu", "fru")]
    assert suspicions(corpus_of(tmp_path, rows), Protocol()) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna", "anna"),
        ("José", "Jose"),
        ("Anna B", "AnnaB"),
        ("Anna", "Anna\u200b"),
        ("Straße", "STRASSE"),
        ("ﬁona", "fiona"),
    ],
)
def test_speakers_who_are_probably_one_are_reported(tmp_path: Path, one: str, other: str) -> None:
    found = suspicions(corpus_of(tmp_path, [{"speaker": one}, {"speaker": other}]), Protocol())
    assert found[0].startswith("2 speakers differ only in case, accents, spaces or invisible")
    assert repr(one) in found[0]


@pytest.mark.parametrize(("one", "other"), [("कि", "की"), ("か", "が"), ("01", "10"), ("a", "b")])
def test_names_of_two_people_stay_two(one: str, other: str) -> None:
    assert confusable([one, other]) == []
    assert skeleton(one)


@pytest.mark.parametrize("label", ["Ang", "ang ", "anger", "ANGRY", "án\u0067"])
def test_a_label_that_is_nearly_a_class_is_told_with_its_count(tmp_path: Path, label: str) -> None:
    rows = [{"label": "neu"}, {"label": label}, {"label": label}, {"label": "fru"}]
    (found,) = suspicions(corpus_of(tmp_path, rows), Protocol())
    assert found.startswith(f"2 utterances are labelled {label!r}, which is nearly 'ang', and left")


def test_the_same_audio_under_two_speakers_labels_or_parts_is_reported(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"audio": "x", "speaker": "A", "label": "ang", "split": "train"},
        {"audio": "x", "speaker": "B", "label": "neu", "split": "test"},
        {"audio": "y", "speaker": "A", "label": "ang", "split": "train"},
        {"audio": "y", "speaker": "A", "label": "ang", "split": "train"},
    ]
    found = suspicions(corpus_of(tmp_path, rows), Protocol())
    assert [text.partition(",")[0] for text in found] == [
        "1 recording is there under several speakers",
        "1 recording is there under several labels",
        "1 recording is there under several splits",
    ]
    assert "u0, u1 ('A', 'B')" in found[0]


def test_a_file_is_found_whichever_unicode_form_its_name_is_in(tmp_path: Path) -> None:
    composed = tmp_path / "Zoë" / "grün.wav"
    split = Path(unicodedata.normalize("NFD", str(composed)))
    split.parent.mkdir()
    split.write_bytes(b"x")
    assert find_file(composed) == split
    assert find_file(tmp_path / "nö.wav") == tmp_path / "nö.wav"
