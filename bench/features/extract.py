"""One utterance to IAAN's 45 features per 10 ms frame.

- The list, its order and the constants are those of IAAN's own preprocessing, which takes 45
  columns of openSMILE's `emobase`: every contour is smoothed over three frames, Δ is the slope
  over five, ΔΔ the slope of Δ. `docs/features.md` has each column, and each deviation.
- librosa is imported where it is used: its first import on a machine compiles for 15 s, and a
  command that needs no features must not pay for it.
- Everything is on one grid: frame t is centred on sample 160 t, there are 1 + n // 160 of them.
"""

from typing import Any

import numpy as np

from bench.arrays import FloatArray
from bench.corpora.audio import SAMPLE_RATE
from bench.corpora.library import librosa
from bench.features import pitch
from bench.features.mel import HOP, WINDOW, mel_power

MEL_BANDS, MFCCS = 26, 12
PREEMPHASIS = 0.97
REFERENCE_INTENSITY = 1e-6  # openSMILE's cIntensity: loudness = (intensity / 1e-6)^0.3
LOUDNESS_EXPONENT = 0.3
SMOOTHING = 3
DELTA_WIDTH = 5

_MFCC_NAMES = tuple(f"mfcc{i}" for i in range(1, MFCCS + 1))
NAMES: tuple[str, ...] = (
    *("f0", "f0_delta"),
    *("loudness", "loudness_delta", "loudness_delta_delta"),
    *("voicing", "voicing_delta"),
    *("zcr", "zcr_delta"),
    *_MFCC_NAMES,
    *(f"{name}_delta" for name in _MFCC_NAMES),
    *(f"{name}_delta_delta" for name in _MFCC_NAMES),
)
"""The 45 columns of `extract`, in order."""

DEFINITION: dict[str, Any] = {
    "extractor": "librosa",
    "version": 1,  # counts changes of the code that change numbers but none of the constants below
    "sample_rate": SAMPLE_RATE,
    "hop": HOP,
    "window": WINDOW,
    "pitch_hz": [pitch.FLOOR_HZ, pitch.CEILING_HZ],
    "mel_bands": MEL_BANDS,
    "preemphasis": PREEMPHASIS,
    "smoothing": SMOOTHING,
    "delta_width": DELTA_WIDTH,
    "names": list(NAMES),
}
"""What the numbers depend on, as plain data: part of a store's key."""


def extract(samples: FloatArray, loudest: float | None = None) -> FloatArray:
    """The features [T, 45] of `samples` [n] at 16 kHz, in the order of `NAMES`; T = 1 + n // 160.

    loudest: see `pitch.track_pitch`. Always finite. F0 is in Hz and 0 where unvoiced (all of a
    column's frames may be).
    """
    tracked = pitch.track_pitch(samples, loudest)
    f0 = _smooth_voiced(tracked.f0)
    loudness_, voicing, zcr = (
        _smooth(contour)
        for contour in (loudness(samples), tracked.voicing, zero_crossing_rate(samples))
    )
    cepstrum = _smooth(mfcc(samples))
    columns = [f0, delta(f0)]
    columns += [loudness_, delta(loudness_), delta(delta(loudness_))]
    columns += [voicing, delta(voicing), zcr, delta(zcr)]
    columns += [*cepstrum, *delta(cepstrum), *delta(delta(cepstrum))]
    return np.stack(columns, axis=1).astype(np.float32)


def loudness(samples: FloatArray) -> FloatArray:
    """Loudness [T] of 25 ms frames: (mean square / 1e-6)^0.3, openSMILE's narrow-band law."""
    rms = librosa().feature.rms(y=samples, frame_length=WINDOW, hop_length=HOP)[0]
    return np.asarray((rms**2 / REFERENCE_INTENSITY) ** LOUDNESS_EXPONENT, dtype=np.float32)


def zero_crossing_rate(samples: FloatArray) -> FloatArray:
    """Changes of sign per sample [T] in 25 ms frames (librosa's, where |x| ≤ 1e-10 is zero)."""
    rate = librosa().feature.zero_crossing_rate(samples, frame_length=WINDOW, hop_length=HOP)[0]
    return np.asarray(rate, dtype=np.float32)


def mfcc(samples: FloatArray) -> FloatArray:
    """Mel-frequency cepstral coefficients 1 … 12 as [12, T], HTK's way.

    Pre-emphasis 0.97, Hamming window of 25 ms, 26 triangular bands on HTK's mel scale from 0 to
    8 kHz, logarithm, cosine transform. Bands are floored at 1e-10, so that digital silence is a
    flat spectrum, whose coefficients are all 0. No liftering: it multiplies each coefficient by a
    constant, which normalisation takes out again.
    """
    emphasised = samples - PREEMPHASIS * np.concatenate([samples[:1], samples[:-1]])
    power = mel_power(emphasised, MEL_BANDS, window="hamming", htk=True, norm=None)
    cepstrum = librosa().feature.mfcc(S=np.log(power), n_mfcc=1 + MFCCS)
    return np.asarray(cepstrum[1:, : 1 + len(samples) // HOP], dtype=np.float32)


def delta(contour: FloatArray) -> FloatArray:
    """Slope per frame [..., T] of the line through five frames, the ends repeated beyond the edge.

    HTK's and openSMILE's regression formula, which is librosa's Savitzky-Golay filter of order 1.
    """
    slope = librosa().feature.delta(contour, width=DELTA_WIDTH, order=1, mode="nearest")
    return np.asarray(slope, dtype=np.float32)


def _smooth(contour: FloatArray) -> FloatArray:
    """Mean of three neighbouring frames [..., T], the ends repeated beyond the edge."""
    from scipy.ndimage import uniform_filter1d

    mean = uniform_filter1d(contour, SMOOTHING, axis=-1, mode="nearest")
    return np.asarray(mean, dtype=np.float32)


def _smooth_voiced(f0: FloatArray) -> FloatArray:
    """`_smooth` over the voiced ones [T] of three frames; an unvoiced frame stays 0.

    openSMILE averages the zeros too, which invents pitches of 67 and 133 Hz at each onset.
    """
    voiced = (f0 > 0).astype(np.float32)
    return np.where(f0 > 0, _smooth(f0) / np.maximum(_smooth(voiced), 1 / SMOOTHING), 0)
