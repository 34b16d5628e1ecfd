"""The table every reader fills, and the check of audio heads."""

import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from activations.errors import InputError
from bench.corpora.audio import audio_fault, read_audio
from bench.corpora.corpus import COLUMNS, Corpus
from bench.corpora.reading import read_corpus
from bench.data.describe import describe
from bench.data.protocol import Protocol


def write_wav(path: Path, samples: int = 800) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.arange(samples, dtype="<i2").tobytes())
    return path


def small_corpus(root: Path) -> Corpus:
    rows = []
    for turn, speaker in enumerate(["A", "B", "A"]):
        audio = write_wav(root / f"{turn}.wav", 100 + turn)
        row = dict.fromkeys(COLUMNS, "")
        row |= {"id": f"u{turn}", "audio": str(audio), "start": 0.0, "end": 1.0, "dialog": "d"}
        row |= {"speaker": speaker, "turn": turn, "session": "s", "label": "ang"}
        rows.append(row | {"improvised": False})
    return Corpus(name="small", root=root, table=pd.DataFrame(rows))


def test_the_fingerprint_is_the_same_in_another_folder(tmp_path: Path) -> None:
    first = small_corpus(tmp_path / "here")
    second = small_corpus(tmp_path / "there")
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("audio", "turn")])
def test_the_fingerprint_changes_with_a_cell_of_the_table(tmp_path: Path, column: str) -> None:
    corpus = small_corpus(tmp_path)
    table = corpus.table.copy()
    changed: object = {"start": 0.5, "end": 2.0, "improvised": True}.get(column, "dd")
    rows = table.index if column == "dialog" else [1]
    table[column] = [changed if row in rows else table[column][row] for row in table.index]
    assert Corpus(name="x", root=tmp_path, table=table).fingerprint != corpus.fingerprint


def test_the_fingerprint_changes_with_one_sample_of_audio(tmp_path: Path) -> None:
    before = small_corpus(tmp_path).fingerprint
    audio = tmp_path / "1.wav"
    data = bytearray(audio.read_bytes())
    data[-1] ^= 1
    corpus = small_corpus(tmp_path)
    audio.write_bytes(bytes(data))
    assert corpus.fingerprint != before


def test_a_table_that_is_out_of_order_or_repeats_an_id_is_refused(tmp_path: Path) -> None:
    table = small_corpus(tmp_path).table
    with pytest.raises(ValueError, match="not sorted"):
        Corpus(name="x", root=tmp_path, table=table.iloc[::-1].reset_index(drop=True))
    with pytest.raises(ValueError, match="repeats the id u0"):
        Corpus(name="x", root=tmp_path, table=table.assign(id="u0"))
    with pytest.raises(ValueError, match="lacks the columns"):
        Corpus(name="x", root=tmp_path, table=table.drop(columns="label"))
    with pytest.raises(ValueError, match="index"):
        Corpus(name="x", root=tmp_path, table=table.iloc[1:])


def test_a_sound_wav_has_no_fault_also_with_chunks_before_its_samples(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav")
    assert audio_fault(path) == ""
    data = path.read_bytes()
    extra = b"LIST" + (5).to_bytes(4, "little") + b"notes\0"  # odd chunks are padded to even
    path.write_bytes(data[:36] + extra + data[36:])
    assert audio_fault(path) == ""


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[:30], "ends within its header"),
        (lambda data: data[:44], "0 of 1,600 bytes"),
        (lambda data: data[:-7], "is cut short: 1,593 of 1,600 bytes"),
        (lambda data: data[:40] + bytes(4), "holds no samples"),
        (
            lambda data: b"OggS" + data[4:],
            "soundfile reads (it begins with b'OggS')",
        ),
        (lambda data: b"ID3\x04" + data[4:], "is in no audio format"),
        (lambda data: data[:12] + data[36:], "does not say its sample format"),
    ],
)
def test_a_spoilt_wav_is_recognised_by_its_head(tmp_path: Path, spoil, words: str) -> None:
    path = write_wav(tmp_path / "a.wav")
    path.write_bytes(spoil(path.read_bytes()))
    assert words in audio_fault(path)


@pytest.mark.parametrize(
    ("riff", "stated"),
    [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000), (36, 0), (0xFFFFFFFF, 0)],
    ids=["zeros", "ffmpeg", "espeak", "empty", "half"],
)
def test_a_wav_written_through_a_pipe_ends_where_its_file_ends(tmp_path, riff, stated) -> None:
    path = write_wav(tmp_path / "a.wav")
    whole = read_audio(path).samples
    data = bytearray(path.read_bytes())
    data[4:8], data[40:44] = riff.to_bytes(4, "little"), stated.to_bytes(4, "little")
    path.write_bytes(data)
    assert audio_fault(path) == ""
    assert np.array_equal(read_audio(path).samples, whole)
    path.write_bytes(data[:44])
    assert audio_fault(path) == "holds no samples"
    with pytest.raises(InputError, match=r"a\.wav holds no samples\. Copy it again"):
        read_audio(path)


def test_notes_behind_no_samples_are_not_heard(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", 0)
    data = bytearray(path.read_bytes() + b"LIST" + (4).to_bytes(4, "little") + b"note")
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    path.write_bytes(data)
    assert audio_fault(path) == "holds no samples"


def test_a_missing_file_and_a_folder_in_its_place_are_faults(tmp_path: Path) -> None:
    assert audio_fault(tmp_path / "a.wav") == "is missing"
    (tmp_path / "b.wav").mkdir()
    assert audio_fault(tmp_path / "b.wav") == "is not a file"


def test_other_formats_are_asked_of_soundfile(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "a.flac"
    soundfile.write(str(path), np.zeros(100), 16_000)
    assert audio_fault(path) == ""
    path.write_bytes(b"fLaC but not really")
    assert "no audio format" in audio_fault(path)


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no corpus format 'emo-db'. Did you mean 'emodb'\? "):
        read_corpus(tmp_path, "emo-db")


def test_a_corpus_too_small_for_folds_is_described_with_the_reason(tmp_path: Path) -> None:
    described = describe(small_corpus(tmp_path), Protocol())
    assert described["examples"] == {
        "total": 3,
        "labels": {"ang": 3, "hap": 0, "neu": 0, "sad": 0},
        "sessions": {"s": 3},
        "speakers": {"A": 2, "B": 1},
        "own_missing": 2,
        "other_missing": 1,
    }
    assert described["folds"] == {}
    assert "needs at least 3" in described["problems"][0]


def test_a_corpus_without_any_label_of_the_protocol_is_described_too(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path)
    described = describe(corpus, Protocol(classes=("wut", "leer"), merge={}))
    assert described["examples"]["total"] == 0
    assert "no utterance is labelled wut, leer; labels: ang" in described["problems"][0]
