"""Log-mel spectrogram: the plainest input of the field, by librosa.

- The grid is that of the other features: frame t is centred on sample 160 t of 16 kHz audio.
- Decibels are floored at an absolute level, not below an utterance's own maximum: gain is a
  constant that normalisation removes, and a pause is as quiet in every utterance.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.corpora.audio import SAMPLE_RATE
from bench.corpora.library import librosa

FloatArray = NDArray[np.float32]

HOP, WINDOW, FFT_SIZE, BANDS = 160, 400, 512, 64
POWER_FLOOR = 1e-10  # of a band: what 16-bit noise of half a step leaves in one

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
    steps = 1 + len(samples) // HOP
    padded = np.pad(samples, (0, max(0, FFT_SIZE - len(samples))))
    power = librosa().feature.melspectrogram(
        y=padded.astype(np.float32),
        sr=SAMPLE_RATE,
        n_fft=FFT_SIZE,
        win_length=WINDOW,
        hop_length=HOP,
        n_mels=BANDS,
    )
    decibels = 10 * np.log10(np.maximum(power, POWER_FLOOR))
    return np.asarray(decibels.T[:steps], dtype=np.float32)
