"""A corpus of two made-up voices, for processes that import little."""

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from bench.corpora.corpus import Corpus

RATE = 16_000


def signal_of(row: int) -> np.ndarray:
    generator = np.random.default_rng(row)
    seconds = 0.2 + 0.05 * (row % 7)
    time_axis = np.arange(int(seconds * RATE)) / RATE
    voice = 0.3 * np.sign(np.sin(2 * np.pi * (100 + 7 * row) * time_axis)) * (time_axis > 0.05)
    return (voice + 0.01 * generator.standard_normal(len(time_axis))).astype(np.float32)


def make_corpus(folder: Path, utterances: int = 8) -> Corpus:
    """Two speakers in turn; the first of them is called B, so that order by name differs."""
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    rows = []
    for row in range(utterances):
        audio = folder / "wav" / f"u{row:03d}.wav"
        soundfile.write(audio, signal_of(row), RATE, subtype="PCM_16")
        rows.append(
            {
                "id": f"u{row:03d}",
                "audio": str(audio),
                "start": 0.0,
                "end": 1.0,
                "speaker": "BA"[row % 2],
                "dialog": "d",
                "turn": row,
                "session": "1",
                "label": "neu",
                "text": "",
                "gender": "",
                "improvised": True,
            }
        )
    return Corpus("tiny", folder, pd.DataFrame(rows))
