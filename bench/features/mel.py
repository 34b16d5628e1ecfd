"""Power in mel bands: where MFCC and the log-mel spectrogram come from.

- One grid for all features: frame t is centred on sample 160 t of 16 kHz audio.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import FloatArray
from bench.corpora.audio import SAMPLE_RATE
from bench.corpora.library import librosa
from bench.features import pitch

HOP = pitch.HOP
WINDOW = 400  # 25 ms
FFT_SIZE = 512
POWER_FLOOR = 1e-10  # of a band: what 16-bit noise of half a step leaves in one


def mel_power(samples: NDArray[np.floating[Any]], bands: int, **filters: Any) -> FloatArray:
    """Power [bands, t] of samples [n] at 16 kHz, at least POWER_FLOOR; t = 1 + max(n, 512) // 160.

    filters: of librosa.feature.melspectrogram, whose defaults are a Hann window and Slaney's scale
    and norm. Beyond frame 1 + n // 160 there is silence, for the caller to cut off.
    """
    # librosa warns of signals shorter than a transform; the silence it would see beyond their end
    # can as well be there from the start
    padded = np.pad(samples, (0, max(0, FFT_SIZE - len(samples))))
    power = librosa().feature.melspectrogram(
        y=padded.astype(np.float32),
        sr=SAMPLE_RATE,
        n_fft=FFT_SIZE,
        win_length=WINDOW,
        hop_length=HOP,
        n_mels=bands,
        **filters,
    )
    return np.asarray(np.maximum(power, POWER_FLOOR), dtype=np.float32)
