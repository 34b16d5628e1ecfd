"""What is kept of an utterance does not hang on how many pieces it was read in."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpora import audio
from bench.features import FeatureSettings, extractors
from bench.features.extract import NAMES
from bench.features.streaming import _Kept, _summary, hear, pool

RATE = 16_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    """24 s: voiced sounds that glide, pauses, noise; loudest once, near the end."""
    rng = np.random.default_rng(1)
    time = np.arange(24 * RATE) / RATE
    hz = 140 + 50 * np.sin(0.9 * time) + 20 * np.sin(5 * time)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    loudness = 0.05 * (1 + np.sin(1.7 * time)) * (np.sin(2.9 * time) > -0.6)
    loudness[20 * RATE : 21 * RATE] *= 5
    samples = voice * loudness + 0.002 * rng.standard_normal(len(time))
    path = tmp_path_factory.mktemp("long") / "one.wav"
    soundfile.write(path, samples, RATE)
    return path


def in_pieces(monkeypatch, seconds=7, around=3):
    monkeypatch.setattr(audio, "MOST_SECONDS", float(seconds))
    monkeypatch.setattr(audio, "PIECE", seconds)
    monkeypatch.setattr(audio, "AROUND", around)


@pytest.mark.parametrize(
    "settings",
    [
        FeatureSettings(cap=1_000_000),
        FeatureSettings(cap=903, frames="voiced"),
        FeatureSettings(kind="logmel", pool=4),
    ],
    ids=["iaan45", "voiced", "logmel"],
)
def test_an_utterance_in_pieces_is_heard_as_the_whole(settings, recording, monkeypatch):
    whole = hear(recording, "one", None, None, settings)
    in_pieces(monkeypatch)
    pieces = hear(recording, "one", None, None, settings)
    assert pieces.count == whole.count
    scale = np.sqrt(whole.squares / whole.count) + 1e-6
    assert np.abs((pieces.frames - whole.frames) / scale).max() < 1e-3
    assert np.allclose(pieces.mean, whole.mean, rtol=1e-4, atol=1e-4)
    assert np.allclose(pieces.squares, whole.squares, rtol=1e-3)


def test_own_features_in_blocks_are_heard_as_the_whole(tmp_path, monkeypatch):
    frames = np.random.default_rng(0).normal(3, 2, (1_000, 6)).astype(np.float16)
    np.save(tmp_path / "one.npy", frames)
    settings = FeatureSettings(kind="own", path=str(tmp_path), cap=700, pool=3)
    whole = hear(Path("none"), "one", None, None, settings)
    monkeypatch.setattr(extractors, "OWN_BLOCK", 128)
    blocks = hear(Path("none"), "one", None, None, settings)
    assert np.array_equal(blocks.frames, whole.frames)
    assert blocks.count == whole.count == 1_000
    assert np.allclose(blocks.mean, frames.astype(np.float64).mean(0))
    assert np.allclose(blocks.squares, 1_000 * frames.astype(np.float64).var(0))


def test_what_is_left_after_pooling_by_five_is_averaged_over_itself():
    frames = np.arange(12, dtype=np.float32)[:, None] * np.ones((1, 45), np.float32)
    assert pool(frames, 5)[:, 0].tolist() == [2.0, 7.0, 10.5]
    assert pool(frames[:10], 5)[:, 0].tolist() == [2.0, 7.0]
    assert pool(frames[:1], 5)[:, 0].tolist() == [0.0]
    kept = _Kept(cap=11, pool=5)
    for block in np.split(frames, [2, 3, 9]):
        kept.add(block)
    assert kept.heard("").frames[:, 0].tolist() == [2.0, 7.0, 10.0]
    assert kept.count == 12


@pytest.mark.parametrize(("voiced", "kept"), [([], 7), ([2, 3], 2), ([6], 1)])
def test_an_utterance_without_a_voiced_frame_keeps_all_of_its_frames(voiced, kept):
    frames = np.ones((7, 45), np.float32)
    frames[:, NAMES.index("f0")] = 0
    frames[voiced, NAMES.index("f0")] = 100
    heard = _summary(iter(np.split(frames, [3, 5])), FeatureSettings(frames="voiced", pool=1), "")
    assert heard.count == len(heard.frames) == kept
