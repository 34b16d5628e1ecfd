"""One audio file to 16 kHz mono samples, or an error that names the file and what to do.

- libsndfile reads a truncated wav as a shorter one without a word, so the sizes that the file
  itself states are checked first.
- A recording in another rate or with more channels is no fault: it is mixed down and resampled,
  and the store notes how often that happened.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError

SAMPLE_RATE = 16_000
REMEDY = "Copy it again from the corpus"


@dataclass(frozen=True)
class Audio:
    """samples: [n] float32 at 16 kHz, n > 0. note: what had to be done to get there, or ""."""

    samples: NDArray[np.float32]
    note: str


def read_audio(path: Path) -> Audio:
    """Read `path` (wav, flac and whatever else libsndfile knows) as 16 kHz mono.

    Raises InputError where the file is missing, unreadable, not audio, truncated, empty, or has
    samples that are not numbers.
    """
    import soundfile

    try:
        truncated = _missing_bytes(path)
        if truncated:
            raise InputError(f"{path} is truncated: {truncated:,} bytes are missing. {REMEDY}.")
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. {REMEDY}, or remove the utterance.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a headerless name, ".raw"
        raise InputError(f"{path} is not audio ({_reason(error)}). {REMEDY}.") from None
    if not len(samples):
        raise InputError(f"{path} holds no samples. {REMEDY}, or remove the utterance.")
    if not np.isfinite(samples).all():
        raise InputError(f"{path} holds samples that are not numbers. {REMEDY}.")
    notes = []
    if samples.shape[1] > 1:
        notes.append(f"mixed down from {samples.shape[1]} channels")
    mono = samples.mean(axis=1, dtype=np.float32)
    if rate != SAMPLE_RATE:
        import librosa

        notes.append(f"resampled from {rate:,} Hz")
        mono = librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE).astype(np.float32)
        if not len(mono):
            raise InputError(f"{path} is shorter than one sample at 16 kHz. {REMEDY}.")
    return Audio(mono, ", ".join(notes))


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", "") or error).strip().rstrip(".")


def _missing_bytes(path: Path) -> int:
    """How many bytes of a RIFF file's samples its header promises but the file does not hold.

    0 for any other format, and where the writer left the size open (0 or 2^32 − 1, as pipes do).
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return 0
        while len(head := file.read(8)) == 8:
            length = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return 0 if length == 0xFFFFFFFF else max(0, file.tell() + length - size)
            file.seek(length + length % 2, 1)
        return 0
