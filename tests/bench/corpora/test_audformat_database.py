"""Databases that audformat itself has written, read as a corpus."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from activations.errors import InputError
from bench.corpora.audformat_database import Selection, read_audformat
from bench.corpora.corpus import Corpus
from bench.corpora.layouts import layouts
from bench.corpora.named_files import read_named_files
from bench.corpora.reading import read_corpus
from tests.bench.corpora.test_named_files import speech

audformat = pytest.importorskip("audformat", reason="needs the extra audformat")

FILES = ["wav/a1.wav", "wav/a2.wav", "wav/b1.wav", "wav/b2.wav"]
EMOTIONS = ["anger", "neutral", "anger", None]


def database(root: Path) -> "audformat.Database":
    """Two speakers with two files each, of noise; nothing is saved yet."""
    (root / "wav").mkdir(parents=True)
    for number, name in enumerate(FILES):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 32_000)
        soundfile.write(str(root / name), noise, 16_000)
    db = audformat.Database("two")
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "neutral"])
    db.schemes["speaker"] = audformat.Scheme(
        labels={"A": {"gender": "female"}, "B": {"gender": "male"}}
    )
    db["files"] = audformat.Table(audformat.filewise_index(FILES))
    db["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    db["files"]["speaker"].set(["A", "A", "B", "B"])
    return db


def filewise(db: "audformat.Database") -> None:
    db["emotion"] = audformat.Table(audformat.filewise_index(FILES))
    db["emotion"]["emotion"] = audformat.Column(scheme_id="emotion")
    db["emotion"]["emotion"].set(EMOTIONS)


def segmented(db: "audformat.Database") -> None:
    index = audformat.segmented_index(FILES[:3], ["0s", "0.5s", "1s"], ["0.5s", "1.75s", pd.NaT])
    db["emotion"] = audformat.Table(index)
    db["emotion"]["emotion"] = audformat.Column(scheme_id="emotion")
    db["emotion"]["emotion"].set(["anger", "neutral", "anger"])


def test_a_table_of_files_is_a_corpus_with_speakers_and_their_gender(tmp_path: Path) -> None:
    db = database(tmp_path)
    filewise(db)
    db.save(str(tmp_path))
    corpus = read_corpus(tmp_path, "audformat")
    assert corpus.name == "two"
    assert corpus.table["id"].tolist() == ["a1", "a2", "b1"]
    assert corpus.table["label"].tolist() == ["anger", "neutral", "anger"]
    assert corpus.table["speaker"].tolist() == ["A", "A", "B"]
    assert corpus.table["gender"].tolist() == ["female", "female", "male"]
    assert not corpus.table["segment"].any()
    assert corpus.notes[0] == "1 row without a label is left out"
    assert corpus.problems == corpus.faults == ()


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_a_table_of_segments_cuts_utterances_out_of_files(tmp_path: Path, storage: str) -> None:
    db = database(tmp_path)
    segmented(db)
    db.save(str(tmp_path), storage_format=storage)
    table = read_corpus(tmp_path, "audformat").table
    assert table["id"].tolist() == ["a1@0.000-0.500", "a2@0.500-1.750", "b1@1.000-"]
    assert table["segment"].all()
    assert table["seconds"].tolist() == [0.5, 1.25, 1.0]


def test_tables_of_the_parts_of_a_split_are_the_corpus_s_own_split(tmp_path: Path) -> None:
    db = database(tmp_path)
    filewise(db)  # one table with everything beside them, as EMO-DB has it in audb
    for name, files in (("train", FILES[:2]), ("test", FILES[2:3])):
        db.splits[name] = audformat.Split(type=name)
        db[f"emotion.{name}"] = audformat.Table(audformat.filewise_index(files), split_id=name)
        db[f"emotion.{name}"]["emotion"] = audformat.Column(scheme_id="emotion")
        db[f"emotion.{name}"]["emotion"].set(EMOTIONS[: len(files)])
    db.save(str(tmp_path))
    table = read_corpus(tmp_path, "audformat").table
    assert table["split"].tolist() == ["train", "train", "test"]
    whole = read_audformat(tmp_path, Selection(table=("emotion",))).table
    assert whole["split"].tolist() == ["", "", ""]


def _broken(name: str) -> Callable[[Path], None]:
    def do(root: Path) -> None:
        db = database(root)
        if name == "no label":
            db.save(str(root))
            return
        filewise(db)
        if name == "two tables":
            db["other"] = db["emotion"].copy()
        if name == "no speaker":
            del db.tables["files"]
        db.save(str(root))
        if name == "pickle":
            (root / "db.emotion.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        if name == "pickle elsewhere":
            header = root / "db.yaml"
            header.write_text(
                header.read_text().replace("\n  emotion:\n    type", "\n  a/b:\n    type")
            )
            (root / "db.a").mkdir()
            (root / "db.a" / "b.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
        if name == "code":
            (root / "db.yaml").write_text("!!python/object/apply:os.system ['true']")
        if name == "no database":
            (root / "db.yaml").write_text("[]")
        if name == "no audio":
            (root / FILES[0]).unlink()

    return do


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no label", r"has no column emotion or label; name one of speaker \(corpus.audformat.lab"),
        ("two tables", r"labels in several tables \(emotion, other\); name .*audformat.table"),
        ("no speaker", "has no column speaker or speaker_id .* that says the speaker"),
        ("pickle", "db.emotion.pkl: pickled tables can run code and are not read"),
        ("pickle elsewhere", "db.yaml: 'a/b' is no name of a table"),
        ("code", "db.yaml cannot be read"),
        ("no database", "is no audformat database that can be read"),
        ("no audio", "wav/a1.wav is missing; copy the database again"),
    ],
)
def test_what_cannot_be_read_or_could_run_code_is_refused_in_one_line(
    tmp_path: Path, what: str, words: str
) -> None:
    _broken(what)(tmp_path)
    with pytest.raises(InputError, match=words):
        read_corpus(tmp_path, "audformat")


def test_a_folder_without_a_database_and_a_table_that_is_not_there_are_named(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"holds no db.yaml; give the folder"):
        read_corpus(tmp_path, "audformat")
    db = database(tmp_path)
    filewise(db)
    db.save(str(tmp_path))
    with pytest.raises(InputError, match="has no table 'emotions'; tables: emotion, files"):
        read_audformat(tmp_path, Selection(table=("emotions",)))
    with pytest.raises(InputError, match=r"has no column mood; name one of emotion, speaker"):
        read_audformat(tmp_path, Selection(label="mood"))


@pytest.mark.parametrize("name", ["emodb", "ravdess"])
def test_real_speech_through_audformat_is_the_corpus_that_its_file_names_say(
    tmp_path: Path, name: str
) -> None:
    files = read_named_files(speech(name), layouts()[name])
    root = tmp_path / name
    shutil.copytree(speech(name), root, copy_function=lambda a, b: Path(b).symlink_to(a))
    audio = [Path(path).relative_to(files.root).as_posix() for path in files.table["audio"]]
    db = audformat.Database(name)
    db.schemes["emotion"] = audformat.Scheme(labels=sorted(files.labels))
    db.schemes["speaker"] = audformat.Scheme("str")
    db["files"] = audformat.Table(audformat.filewise_index(audio))
    for column, source in (("emotion", "label"), ("speaker", "speaker")):
        db["files"][column] = audformat.Column(scheme_id=column)
        db["files"][column].set(files.table[source].tolist())
    db.save(str(root))
    corpus = read_corpus(root, "audformat")
    assert corpus.labels == files.labels
    columns = ["id", "speaker", "label", "seconds"]
    assert corpus.table[columns].equals(files.table[columns])
    assert corpus.hours == files.hours


def test_a_database_is_fetched_from_audb_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audb = pytest.importorskip("audb", reason="needs the extra audformat")
    db = database(tmp_path / "build")
    filewise(db)
    db.save(str(tmp_path / "build"))
    (tmp_path / "host" / "data").mkdir(parents=True)
    repository = audb.Repository("data", str(tmp_path / "host"), "file-system")
    audb.publish(str(tmp_path / "build"), "1.0.0", repository, verbose=False)
    monkeypatch.setattr(audb.config, "REPOSITORIES", [repository])

    def read(version: str) -> Corpus:
        return read_audformat(tmp_path / "kept", Selection(database="two", version=version))

    corpus = read("1.0.0")
    assert corpus.table["id"].tolist() == ["a1", "a2", "b1"]
    assert Path(corpus.table["audio"][0]).is_relative_to(tmp_path / "kept")
    with pytest.raises(InputError, match="audb cannot load two"):
        read("2.0.0")
