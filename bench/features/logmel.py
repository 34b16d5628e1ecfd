"""Log-mel spectrogram: the plainest input of the field, by librosa.

- The grid is that of the other features: frame t is centred on sample 160 t of 16 kHz audio.
- Decibels are floored at an absolute level, not below an utterance's own maximum: gain is a
  constant that normalisation removes, and a pause is as quiet in every utterance.
"""

from typing import Any

import numpy as np

from bench.arrays import FloatArray
from bench.corpora.audio import SAMPLE_RATE
from bench.features.mel import HOP, WINDOW, mel_power

BANDS = 64

NAMES = tuple(f"logmel{band}" for band in range(1, BANDS + 1))
DEFINITION: dict[str, Any] = {
    "extractor": "librosa",
    "features": "logmel",
    "version": 1,
    "sample_rate": SAMPLE_RATE,
    "hop": HOP,
    "window": WINDOW,
    "names": list(NAMES),
}


def extract(samples: FloatArray) -> FloatArray:
    """Log-mel energies [T, 64] in dB of samples [n] at 16 kHz; T = 1 + n // 160.

    Hann window of 25 ms, 64 triangular bands (Slaney's mel scale and norm, librosa's default) from
    0 to 8 kHz.
    """
    decibels = 10 * np.log10(mel_power(samples, BANDS))
    return np.asarray(decibels.T[: 1 + len(samples) // HOP], dtype=np.float32)
