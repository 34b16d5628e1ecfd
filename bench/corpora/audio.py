"""One stretch of an audio file to 16 kHz mono samples, or what is wrong with it and what to do.

- Whoever reads a corpus wants to hear of the one file that was cut short before an hour of
  features, not in the middle of it: `look` reads a file's head, thousands in a second. Reading the
  samples asks it again, so the two cannot disagree.
- What a file is called does not matter: it is opened by what it holds.
- A recording in another rate or with more channels is no fault: it is mixed down and resampled,
  and the store notes how often that happened.
- Files come from outside, so every size has a limit: rate, channels, length, loudness.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from bench.corpora import containers

if TYPE_CHECKING:
    from soundfile import SoundFile

SAMPLE_RATE = 16_000
REMEDY = "Copy it again from the corpus"

RATES = (4_000, 768_000)  # Hz: telephones have 8,000, the fastest recorders 768,000
MOST_SECONDS = 1_800.0  # of one utterance: half an hour takes 1 GB while its features are computed
LOUDEST = 1e6  # floating-point audio is within ±1, some within ±32,768
BLOCK = 1 << 20  # samples of all channels that are read at once
SLACK = 0.05  # seconds that an annotation may reach beyond a file's end


@dataclass(frozen=True)
class Audio:
    """samples: [n] float32 at 16 kHz, n > 0. note: what had to be done to get there, or ""."""

    samples: NDArray[np.float32]
    note: str


@dataclass(frozen=True)
class AudioState:
    """What a file's head says. fault: to be read after its name, or "". seconds: NaN if faulty."""

    fault: str
    seconds: float = float("nan")


def look(path: Path) -> AudioState:
    """What is wrong with a file, and how long it is, by its head alone."""
    import soundfile

    if "\0" in str(path):
        return AudioState("is no path: it holds a NUL character")
    try:
        if not path.is_file():
            return AudioState("is not a file" if path.exists() else "is missing")
        with path.open("rb") as file:
            size = containers.sized(file)
            if size == 0:
                return AudioState("is empty")
            fault = containers.fault_of(file, size)
            if fault:
                return AudioState(fault)
        with _opened(path) as sound:
            if not sound.frames:
                return AudioState("holds no samples")
            fault = _limits(sound)
            return AudioState(fault) if fault else AudioState("", sound.frames / sound.samplerate)
    except OSError as error:
        return AudioState(f"cannot be read ({error.strerror or error})")
    except (soundfile.LibsndfileError, TypeError, RuntimeError):
        with path.open("rb") as file:
            begins = file.read(4)
        return AudioState(f"is in no audio format that soundfile reads (it begins with {begins!r})")


def audio_fault(path: Path) -> str:
    """What is wrong with the file, to be read after its name; "" when nothing is."""
    return look(path).fault


def read_audio(path: Path, start: float | None = None, end: float | None = None) -> Audio:
    """Read `path` (wav, flac and whatever else libsndfile knows) as 16 kHz mono.

    start, end: seconds of the file between which it is read; all of it by default.
    Raises InputError where `look` finds something, where the samples cannot be decoded, are fewer
    than the file promises, are not numbers, louder than `LOUDEST` or longer than `MOST_SECONDS`.
    """
    import soundfile

    if fault := audio_fault(path):
        raise InputError(f"{path} {fault}. {REMEDY}, or remove the utterance.")
    try:
        with _opened(path) as sound:
            first, count = _stretch(path, sound, start, end)
            rate, channels = sound.samplerate, sound.channels
            mono = _mono(path, sound, first, count)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (soundfile.LibsndfileError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} is not audio ({_reason(error)}). {REMEDY}.") from None
    notes = []
    if channels > 1:
        notes.append(f"mixed down from {channels} channels")
    if rate != SAMPLE_RATE:
        import librosa

        notes.append(f"resampled from {rate:,} Hz")
        mono = librosa.resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE).astype(np.float32)
        if not len(mono):
            raise InputError(f"{path} is shorter than one sample at 16 kHz. {REMEDY}.")
    return Audio(mono, ", ".join(notes))


def _stretch(
    path: Path, sound: "SoundFile", start: float | None, end: float | None
) -> tuple[int, int]:
    """The first sample and the number of samples between two times."""
    rate, seconds = sound.samplerate, sound.frames / sound.samplerate
    start, end = start or 0.0, seconds if end is None else end
    if not 0 <= start < end <= seconds + SLACK:
        raise InputError(
            f"{path}: {start:g} … {end:g} s is no stretch of its {seconds:.2f} s. Mend start and "
            "end of the utterance."
        )
    if end - start > MOST_SECONDS:
        raise InputError(
            f"{path}: an utterance of {(end - start) / 60:.0f} minutes is longer than "
            f"{MOST_SECONDS / 60:.0f}. Cut it by start and end."
        )
    first = round(start * rate)
    return first, max(1, min(round(end * rate), sound.frames) - first)


def _mono(path: Path, sound: "SoundFile", first: int, count: int) -> NDArray[np.float32]:
    """Samples [count] of the mean of the channels, read block by block."""
    if first:
        sound.seek(first)
    mono = np.empty(count, dtype=np.float32)
    done = 0
    while done < count:
        block = sound.read(
            min(count - done, max(1, BLOCK // sound.channels)), dtype="float32", always_2d=True
        )
        if not len(block):
            raise InputError(
                f"{path} is cut short: {first + done:,} of {sound.frames:,} samples are there. "
                f"{REMEDY}."
            )
        loudest = float(np.abs(block).max())
        if not loudest <= LOUDEST:
            what = (
                f"as loud as {loudest:g}, where ±1 is full scale"
                if np.isfinite(loudest)
                else "that are not numbers"
            )
            raise InputError(f"{path} holds samples {what}. {REMEDY}.")
        mono[done : done + len(block)] = block.mean(axis=1, dtype=np.float32)
        done += len(block)
    return mono


def _limits(sound: "SoundFile") -> str:
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        return (
            f"claims {sound.samplerate:,} samples a second; {RATES[0]:,} to {RATES[1]:,} are speech"
        )
    return ""


@contextmanager
def _opened(path: Path) -> "Iterator[SoundFile]":
    """The file for reading; a wav whose length was never filled in is read to its end."""
    import soundfile

    with path.open("rb") as file:
        size = containers.sized(file)
        unfilled = containers.open_wav(file, size)
        if unfilled is not None:
            start, there = unfilled
            file.seek(0)
            data = bytearray(file.read())
            data[start - 4 : start] = min(there, 0xFFFFFFFF).to_bytes(4, "little")
            with soundfile.SoundFile(io.BytesIO(bytes(data))) as sound:
                yield sound
            return
    # by descriptor: soundfile takes a name that ends in .raw for headerless audio
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with soundfile.SoundFile(descriptor, closefd=False) as sound:
            yield sound
    finally:
        os.close(descriptor)


def _reason(error: Any) -> str:
    return str(getattr(error, "error_string", "") or error).strip().rstrip(".")
