import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.corpora.library import librosa
from bench.features import extract as ex
from bench.features.pitch import track_pitch

RATE = 16_000


def tone(hz, seconds=1.0, harmonics=1, amplitude=0.3):
    """Harmonics of hz below 7 kHz, the n-th 1/n as strong; hz may vary from sample to sample."""
    n = int(seconds * RATE)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hz, (n,))) / RATE
    highest = min(harmonics, int(7000 / np.max(hz)))
    wave = sum(np.sin(k * phase) / k for k in range(1, highest + 1))
    return (amplitude * wave / np.abs(wave).max()).astype(np.float32)


def noise(seconds=1.0, amplitude=0.1, seed=0):
    generator = np.random.default_rng(seed)
    return (amplitude * generator.standard_normal(int(seconds * RATE))).astype(np.float32)


def column(frames, name):
    return frames[:, ex.NAMES.index(name)]


def speech_like():
    """Noise, a gliding voice, a pause and another voice: two seconds with every kind of frame."""
    glide = np.linspace(110, 220, RATE // 2)
    voice = tone(glide, 0.5, harmonics=20)
    return np.concatenate(
        [noise(0.3, 0.02), voice, noise(0.4, 0.001), tone(150.0, 0.5, 20), noise(0.3, 0.05, 1)]
    )


def test_there_are_the_45_columns_of_iaan_in_the_authors_order():
    assert len(ex.NAMES) == len(set(ex.NAMES)) == 45
    first = "f0 f0_delta loudness loudness_delta loudness_delta_delta voicing voicing_delta zcr"
    assert ex.NAMES[:9] == (*first.split(), "zcr_delta")
    assert ex.NAMES[9] == "mfcc1"
    assert ex.NAMES[20] == "mfcc12"
    assert ex.NAMES[21] == "mfcc1_delta"
    assert ex.NAMES[33] == "mfcc1_delta_delta"


@pytest.mark.parametrize("n", [1, 5, 159, 160, 161, 399, 400, 1000, 16000])
@pytest.mark.filterwarnings("error")
def test_every_length_of_signal_gives_one_finite_frame_per_10_ms(n):
    for signal in (noise(1)[:n], np.zeros(n, np.float32), np.ones(n, np.float32)):
        frames = ex.extract(signal)
        assert frames.shape == (1 + n // 160, 45)
        assert frames.dtype == np.float32
        assert np.isfinite(frames).all()


def test_digital_silence_is_unvoiced_and_constant():
    frames = ex.extract(np.zeros(RATE, np.float32))
    assert np.abs(frames).max() < 1e-5  # the cosine transform's rounding
    assert np.ptp(frames, axis=0).max() < 1e-30


@pytest.mark.parametrize("hz", [65.0, 80.0, 120.0, 200.0, 310.0, 440.0, 490.0])
@pytest.mark.parametrize("harmonics", [1, 3, 40])
def test_a_tones_f0_is_its_frequency_to_one_per_cent(hz, harmonics):
    pitch = track_pitch(tone(hz, harmonics=harmonics))
    inner = slice(4, -4)  # a window of 50 ms reaches beyond the signal before and after that
    assert np.abs(pitch.f0[inner] / hz - 1).max() < 0.01
    assert pitch.voicing[inner].min() > 0.9


def test_the_column_of_a_200_hz_sine_is_200_hz_too():
    frames = ex.extract(tone(200.0))
    assert np.abs(column(frames, "f0")[6:-6] / 200 - 1).max() < 0.01


def test_f0_follows_a_glide_and_its_delta_is_the_slope():
    glide = np.linspace(100, 300, 2 * RATE)  # 1 Hz per 10 ms
    frames = ex.extract(tone(glide, 2.0, harmonics=20))
    inner = slice(8, -8)
    expected = 100 + np.arange(len(frames))[inner]
    assert np.abs(column(frames, "f0")[inner] / expected - 1).max() < 0.02
    assert np.abs(column(frames, "f0_delta")[inner] - 1).max() < 0.2


def test_noise_and_silence_are_unvoiced_and_a_voice_in_light_noise_is_voiced():
    assert (track_pitch(noise(3.0)).f0 == 0).mean() > 0.99
    voice = tone(150.0, 1.0, 20) + noise(1.0, 0.01)
    assert (track_pitch(voice).f0[4:-4] > 0).all()
    assert (track_pitch(np.zeros(1000, np.float32)).f0 == 0).all()


def test_voicing_is_the_periodic_share_of_the_power():
    # equal power of tone and noise: the autocorrelation at the period is half of that at 0
    sine = tone(200.0, 4.0, amplitude=np.sqrt(2) * 0.1)
    voicing = track_pitch(sine + noise(4.0, 0.1)).voicing[4:-4]
    assert abs(voicing.mean() - 0.5) < 0.05


@pytest.mark.parametrize("gain", [0.1, 0.5, 3.0])
def test_gain_changes_loudness_by_a_factor_and_nothing_else(gain):
    signal = speech_like()
    quiet, loud = ex.extract(signal), ex.extract((gain * signal).astype(np.float32))
    names = ("loudness", "loudness_delta", "loudness_delta_delta")
    for name in ex.NAMES:
        factor = gain**0.6 if name in names else 1.0  # (mean square)^0.3
        expected = factor * column(quiet, name)
        # float32 through logarithms and transforms; cepstra are tens, F0 hundreds
        error = np.abs(column(loud, name) - expected).max()
        assert error < 2e-3 * max(1.0, np.abs(expected).max()), name


def test_a_shift_by_whole_frames_shifts_the_features():
    signal = speech_like()
    shifted = ex.extract(np.concatenate([np.zeros(10 * 160, np.float32), signal]))[10:]
    plain = ex.extract(signal)
    inner = slice(8, None)  # before it, what precedes the signal reaches into the windows
    scale = np.abs(plain).max(axis=0)
    assert (np.abs(shifted[inner] - plain[inner]) / scale).max() < 1e-4


def test_delta_of_a_ramp_is_its_slope_and_of_a_constant_is_zero():
    ramp = np.stack([3.0 * np.arange(50), np.full(50, 7.0)]).astype(np.float32)
    slope = ex.delta(ramp)
    assert np.allclose(slope[0, 2:-2], 3, atol=1e-4)
    assert np.allclose(slope[1], 0, atol=1e-5)


def test_delta_is_htks_regression_formula_with_repeated_ends():
    contour = np.random.default_rng(0).normal(size=30).astype(np.float32)
    padded = np.pad(contour, 2, mode="edge").astype(np.float64)
    expected = [
        sum(k * (padded[t + 2 + k] - padded[t + 2 - k]) for k in (1, 2)) / 10 for t in range(30)
    ]
    assert np.allclose(ex.delta(contour), expected, atol=1e-5)


def test_mfcc_is_what_numpy_and_scipy_make_of_htks_definition():
    from scipy.fft import dct

    signal = speech_like()
    emphasised = np.append(signal[0] * 0.03, signal[1:] - 0.97 * signal[:-1].astype(np.float64))
    padded = np.pad(emphasised, 256)
    n = np.arange(400)
    window = np.pad(0.54 - 0.46 * np.cos(2 * np.pi * n / 400), 56)  # periodic, as librosa's
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.arange(257) * RATE / 512
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling))
    expected = []
    for t in range(1 + len(signal) // 160):
        power = np.abs(np.fft.rfft(window * padded[160 * t : 160 * t + 512])) ** 2
        expected.append(dct(np.log(np.maximum(bank @ power, 1e-10)), norm="ortho")[1:13])
    assert np.abs(ex.mfcc(signal) - np.array(expected).T).max() < 2e-3  # of values up to 40


def test_zero_crossings_of_a_sine_are_twice_its_frequency():
    # a phase offset, for a sample of exactly 0 could count once or not at all
    sine = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE + 0.1).astype(np.float32)
    rate = ex.zero_crossing_rate(sine)[2:-2]
    assert np.abs(rate - 2 * 1000 / RATE).max() <= 1 / 400 + 1e-6  # one crossing in a frame of 400


def test_loudness_follows_opensmiles_power_law():
    sine = tone(1000.0, amplitude=0.5)
    expected = (0.5**2 / 2 / 1e-6) ** 0.3
    assert np.allclose(ex.loudness(sine)[3:-3], expected, rtol=1e-3)


def test_smoothed_f0_never_mixes_voiced_frames_with_silence():
    frames = ex.extract(np.concatenate([np.zeros(RATE // 2), tone(200.0, 0.5, 10)]).astype("f4"))
    f0 = column(frames, "f0")
    assert (f0[f0 > 0] > 150).all()
    assert (f0[:40] == 0).all()


def test_pitch_agrees_with_librosas_pyin_on_a_synthetic_voice():
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(6):
        start, end = rng.uniform(90, 350, 2)
        end = np.clip(end, start / 1.5, start * 1.5)
        parts += [noise(0.2, 0.003), tone(np.linspace(start, end, RATE // 2), 0.5, 20)]
    signal = np.concatenate(parts)
    ours = track_pitch(signal).f0
    theirs, voiced, _ = librosa().pyin(
        signal, fmin=60, fmax=500, sr=RATE, frame_length=1024, hop_length=160, resolution=0.2
    )
    both = voiced & (ours > 0)
    assert both.sum() > 250
    gross = np.abs(ours[both] / theirs[both] - 1) > 0.2
    assert gross.mean() < 0.02
    assert (voiced != (ours > 0)).mean() < 0.12  # onsets: its window is longer


@pytest.mark.skipif(
    "GATESWAP_EMODB" not in os.environ, reason="GATESWAP_EMODB does not name a folder of EMO-DB"
)
def test_pitch_agrees_with_librosas_pyin_on_real_speech():
    from bench.corpora.audio import read_audio

    files = sorted(Path(os.environ["GATESWAP_EMODB"]).rglob("*.wav"))[::40]
    assert files, "no wav below GATESWAP_EMODB"
    gross = both = 0
    for file in files:
        signal = read_audio(file).samples
        ours = track_pitch(signal).f0
        theirs, voiced, _ = librosa().pyin(
            signal, fmin=60, fmax=500, sr=RATE, frame_length=1024, hop_length=160, resolution=0.2
        )
        sure = voiced & (ours > 0)
        both += sure.sum()
        gross += (np.abs(ours[sure] / theirs[sure] - 1) > 0.2).sum()
    assert both > 500
    assert gross / both < 0.04


def test_importing_the_features_imports_neither_librosa_nor_torch_nor_soundfile():
    program = (
        "import sys, bench.features, bench.features.parts;"
        "heavy = 'librosa', 'numba', 'torch', 'soundfile', 'pandas';"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
