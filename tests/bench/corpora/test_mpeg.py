"""MP3 with and without the frame that says its length; the encoder is LAME's, in libsndfile."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpora.audio import audio_fault, look, read_audio
from bench.corpora.mpeg import frame_of

TRIMMED = 576  # samples of LAME's delay, which its own first frame lets the decoder cut


def _written(path: Path, rate: int, mode: str, channels: int) -> bytes:
    """Three seconds, of which the second is loud: a rate that may vary does."""
    noise = np.random.default_rng(0).normal(0, 0.1, (3 * rate, channels))
    noise[:rate] = noise[2 * rate :] = 0.3 * np.sin(np.arange(rate) / 9)[:, None]
    soundfile.write(path, noise, rate, format="MP3", bitrate_mode=mode, compression_level=0.3)
    return path.read_bytes()


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (16_000, 2), (48_000, 1), (8_000, 1)])
def test_mp3_without_its_length_is_the_mp3_with_it(
    tmp_path: Path, rate: int, channels: int, mode: str
) -> None:
    whole, bare = tmp_path / "whole.mp3", tmp_path / "bare.mp3"
    data = _written(whole, rate, mode, channels)
    info = frame_of(data[:4])
    assert info is not None
    assert data[info.info :][:4] in (b"Xing", b"Info")
    bare.write_bytes(b"ID3\4\0\0\0\0\0\x05" + bytes(5) + data[info.length :] + b"TAG".ljust(128))
    expected, _ = soundfile.read(whole, dtype="float32", always_2d=True)
    assert abs(look(bare).seconds - len(expected) / rate) < 0.2
    if rate == 16_000:
        found = read_audio(bare).samples[TRIMMED:]
        assert np.allclose(found[: len(expected)], expected.mean(axis=1), atol=1e-4)


def test_mp3_without_its_length_that_ends_in_a_frame_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    data = _written(path, 44_100, "CONSTANT", 1)
    info = frame_of(data[:4])
    assert info is not None
    path.write_bytes(data[info.length :])
    assert len(read_audio(path).samples) > 48_000  # a constant rate, of frames of two lengths
    path.write_bytes(data[info.length : -100])
    assert audio_fault(path) == "is cut short: its last frame lacks 100 bytes"
    path.write_bytes(data[info.length :] + b"something else")
    assert audio_fault(path).startswith("is damaged: ")
