"""Audio of every kind that libsndfile reads, whatever it is named, and audio that is not right."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from activations.errors import InputError
from bench.corpora import audio
from bench.corpora.audio import MOST_SECONDS, audio_fault, look, read_audio, read_pieces

TONE = (0.4 * np.sin(np.arange(16_000) * 0.06)).astype(np.float32)

# container, subtype, largest error: 16 bit, 8 bit and 4 bit of a full scale, then what a codec does
KINDS = [
    ("WAV", "PCM_16", 2e-4),
    ("WAV", "PCM_U8", 2e-2),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "FLOAT", 0.0),
    ("WAV", "DOUBLE", 0.0),
    ("WAV", "ULAW", 2e-2),
    ("WAV", "IMA_ADPCM", 1e-1),
    ("WAVEX", "PCM_16", 2e-4),
    ("RF64", "PCM_16", 2e-4),
    ("W64", "PCM_16", 2e-4),
    ("FLAC", "PCM_16", 2e-4),
    ("AIFF", "PCM_16", 2e-4),
    ("AU", "PCM_16", 2e-4),
    ("CAF", "PCM_16", 2e-4),
    ("NIST", "PCM_16", 2e-4),
    ("OGG", "VORBIS", 1e-1),
    ("OGG", "OPUS", 2e-1),
    ("MP3", "MPEG_LAYER_III", 2e-1),
]
CAN_BE_CUT = [kind for kind in KINDS if kind[1] not in ("IMA_ADPCM",)]


def write(path: Path, kind: str, subtype: str, samples: np.ndarray = TONE, **more: str) -> bytes:
    soundfile.write(str(path), samples, 16_000, format=kind, subtype=subtype, **more)
    return path.read_bytes()


@pytest.mark.parametrize(("kind", "subtype", "error"), KINDS)
@pytest.mark.parametrize("name", ["speech.wav", "speech.raw", "speech"])
def test_audio_is_read_for_what_it_is_whatever_it_is_named(
    tmp_path: Path, kind: str, subtype: str, error: float, name: str
) -> None:
    data = write(tmp_path / "x", kind, subtype)
    path = tmp_path / name
    path.write_bytes(data)
    assert look(path).fault == ""
    assert abs(look(path).seconds - 1.0) < 0.1
    samples = read_audio(path).samples
    if error < 0.1:  # codecs delay and pad; they are compared by their power below
        assert len(samples) == len(TONE)
        assert np.abs(samples - TONE).max() <= error
    assert abs(np.sqrt((samples**2).mean()) - np.sqrt((TONE**2).mean())) < 0.05


@pytest.mark.parametrize(("kind", "subtype", "error"), CAN_BE_CUT)
@pytest.mark.parametrize("share", [0.03, 0.5, 0.95])
def test_audio_that_is_cut_short_is_never_taken_for_a_shorter_one(
    tmp_path: Path, kind: str, subtype: str, error: float, share: float
) -> None:
    path = tmp_path / "speech.wav"
    data = write(path, kind, subtype)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=str(path)):
        read_audio(path)


def test_a_big_endian_wav_is_read_and_a_cut_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    data = write(path, "WAV", "PCM_16", endian="BIG")
    assert data[:4] == b"RIFX"
    assert np.abs(read_audio(path).samples - TONE).max() < 2e-4
    path.write_bytes(data[:-100])
    assert audio_fault(path) == "is cut short: 31,900 of 32,000 bytes of samples are there"


@pytest.mark.parametrize("kind", ["CAF", "W64"])
def test_a_chunk_longer_than_any_file_is_a_fault_and_no_crash(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "speech"
    data = bytearray(write(path, kind, "PCM_16"))
    first = {"CAF": slice(12, 20), "W64": slice(56, 64)}[kind]  # the length of the first chunk
    data[first] = b"\xff" * 8
    path.write_bytes(data)
    assert audio_fault(path) == "is cut short: it ends within its header"


@pytest.mark.parametrize("stated", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0])
def test_every_way_to_leave_a_length_open_ends_where_the_file_ends(
    tmp_path: Path, stated: int
) -> None:
    path = tmp_path / "speech.wav"
    data = write(path, "WAV", "PCM_16")
    place = data.index(b"data") + 4
    spoilt = data[:4] + b"\xff" * 4 + data[8:place] + stated.to_bytes(4, "little")
    path.write_bytes(spoilt + data[place + 4 :])
    assert np.abs(read_audio(path).samples - TONE).max() < 2e-4


def test_a_stretch_of_a_longer_file_is_its_samples(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    long = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000, 2))
    soundfile.write(str(path), long, 16_000)
    cut = read_audio(path, 0.5, 1.25)
    whole = read_audio(path)
    assert np.array_equal(cut.samples, whole.samples[8_000:20_000])
    assert cut.note == "mixed down from 2 channels"
    assert np.array_equal(read_audio(path, 2.5).samples, whole.samples[40_000:])


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 0.5), (0.5, 0.5), (0.0, 1.2), (-1.0, 0.5), (float("nan"), 1.0)]
)
def test_a_stretch_that_ends_before_it_starts_or_after_the_file_is_refused(
    tmp_path: Path, start: float, end: float
) -> None:
    write(tmp_path / "a.wav", "WAV", "PCM_16")
    with pytest.raises(InputError, match=r"a.wav: .* s is no stretch of its 1.00 s. Mend start"):
        read_audio(tmp_path / "a.wav", start, end)


@pytest.mark.parametrize("rate", [1, 100, 2_000_000])
def test_a_rate_that_no_recorder_has_is_refused_before_anything_is_read(
    tmp_path: Path, rate: int
) -> None:
    path = tmp_path / "a.wav"
    data = bytearray(write(path, "WAV", "PCM_16"))
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    assert audio_fault(path).startswith(f"claims {rate:,} samples a second; 4,000 to 768,000")


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_more_than_half_an_hour_is_read_in_pieces_that_hear_their_neighbours(
    rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_SECONDS == 1_800
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (13 * rate, 2)), rate)
    whole = read_audio(path, 0.5)
    for name, seconds in (("MOST_SECONDS", 5.0), ("PIECE", 4), ("AROUND", 1)):
        monkeypatch.setattr(audio, name, seconds)
    pieces = list(read_pieces(path, 0.5))
    assert [(piece.before, piece.frames) for piece in pieces] == [
        *[(0, 400), (100, 400), (100, 400)],
        (100, None),
    ]
    assert {piece.note for piece in pieces} == {whole.note}
    for number, piece in enumerate(pieces):
        first = 16_000 * (4 * number - bool(number))
        there = whole.samples[first : first + len(piece.samples)]
        edge = 2_000 if rate != 16_000 else 0  # what a resampling filter does not see is missing
        inside = slice(edge, len(there) - edge)
        assert np.abs(piece.samples[inside] - there[inside]).max() < 1e-5
    with pytest.raises(InputError, match="are read in pieces, not at once"):
        read_audio(path)
    assert len(read_audio(path, 2, 3).samples) == 16_000


@pytest.mark.parametrize(
    ("value", "words"),
    [(1e30, "as loud as 1e\\+30"), (np.nan, "not numbers"), (-np.inf, "not numbers")],
)
def test_samples_that_are_no_sound_are_refused_by_the_file_s_name(
    tmp_path: Path, value: float, words: str
) -> None:
    samples = TONE.copy()
    samples[100] = value
    write(tmp_path / "a.wav", "WAV", "FLOAT", samples)
    with pytest.raises(InputError, match=rf"a\.wav holds samples .*{words}"):
        read_audio(tmp_path / "a.wav")


def test_what_is_no_file_at_all_is_a_fault(tmp_path: Path) -> None:
    assert audio_fault(Path("a\0b.wav")) == "is no path: it holds a NUL character"
    assert "File name too long" in audio_fault(tmp_path / ("x" * 300))
    os.mkfifo(tmp_path / "pipe.wav")
    assert audio_fault(tmp_path / "pipe.wav") == "is not a file"


def test_a_damaged_mp3_is_one_error_and_not_a_word_of_its_decoder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mp3"
    valid = write(path, "MP3", "MPEG_LAYER_III")
    for tag in (b"", b"ID3\x04\0\0\0\0\0\0"):
        path.write_bytes(tag + valid[:2_000] + bytes(300) + b"\xff" * 900 + valid[2_900:])
        with suppress(soundfile.LibsndfileError):
            soundfile.read(path)
        if not capfd.readouterr().err:
            pytest.skip("the decoder of this libsndfile says nothing")
        with suppress(InputError):
            read_audio(path)
        with suppress(InputError):
            read_audio(path, 0.5, 0.7)
        os.write(2, b"what others say")
        assert capfd.readouterr().err == "what others say"


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    place=st.integers(0, 400),
    patch=st.binary(min_size=1, max_size=8),
    cut=st.integers(0, 400),
)
def test_a_head_that_was_tampered_with_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, kind: tuple[str, str, float], place: int,
    patch: bytes, cut: int,
) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "tampered.wav"
    data = bytearray(write(path, *kind[:2], TONE[:4_000]))
    data[place : place + len(patch)] = patch
    path.write_bytes(data[: len(data) - cut])
    try:
        samples = read_audio(path).samples
    except InputError as error:
        said = str(error)
        samples = np.zeros(1)
    else:
        said = str(path)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert len(samples) <= 16_000 * 600
    assert np.isfinite(samples).all()
