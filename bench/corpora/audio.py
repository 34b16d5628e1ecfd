"""One stretch of an audio file to 16 kHz mono samples, or what is wrong with it and what to do.

- Whoever reads a corpus wants to hear of the one file that was cut short before an hour of
  features, not in the middle of it: `look` reads a file's head, thousands in a second. Reading the
  samples asks it again, so the two cannot disagree.
- What a file is called does not matter: it is opened by what it holds.
- A recording in another rate or with more channels is no fault: it is mixed down and resampled,
  and the store notes how often that happened.
- Files come from outside, so every size has a limit: rate, channels, length, loudness.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from bench.corpora import containers, mpeg
from bench.corpora.library import librosa
from bench.corpora.quiet import quiet

if TYPE_CHECKING:
    from soundfile import SoundFile

SAMPLE_RATE = 16_000
REMEDY = "Copy it again from the corpus"

RATES = (4_000, 768_000)  # Hz: telephones have 8,000, the fastest recorders 768,000
MOST_SECONDS = 1_800.0  # of a piece: half an hour takes 1 GB while its features are computed
PIECE = 600  # seconds of longer utterances that are read at once
AROUND = 5  # seconds that a piece hears of its neighbours: windows, slopes and pitch need some
FRAME_RATE = 100  # frames of features a second
LOUDEST = 1e6  # floating-point audio is within ±1, some within ±32,768
BLOCK = 1 << 20  # samples of all channels that are read at once
SLACK = 0.05  # seconds that an annotation may reach beyond a file's end


@dataclass(frozen=True)
class Audio:
    """samples: [n] float32 at 16 kHz, n > 0. note: what had to be done to get there, or ""."""

    samples: NDArray[np.float32]
    note: str


@dataclass(frozen=True, eq=False)
class Piece:
    """samples: [n] float32 at 16 kHz, some of them the neighbours'. note: as of `Audio`.

    before: frames that belong to the piece before. frames: its own, None for all until the end.
    """

    samples: NDArray[np.float32]
    before: int
    frames: int | None
    note: str

    @property
    def last(self) -> bool:
        """Whether the utterance ends with it."""
        return self.frames is None

    def own(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of frames [t, …] of its samples those that are no neighbour's."""
        return frames[self.before : None if self.frames is None else self.before + self.frames]


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
            fault = containers.fault_of(file, size) or _of_frames(file, size)
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
    piece = next(read_pieces(path, start, end))
    if not piece.last:
        raise InputError(
            f"{path}: more than {MOST_SECONDS / 60:.0f} minutes are read in pieces, not at once. "
            "Cut it by start and end."
        )
    return Audio(piece.samples, piece.note)


def read_pieces(
    path: Path, start: float | None = None, end: float | None = None
) -> Iterator[Piece]:
    """The same of any length: all of it up to `MOST_SECONDS`, else piece after piece.

    Raises InputError as `read_audio` does, but for the length.
    """
    import soundfile

    if fault := audio_fault(path):
        raise InputError(f"{path} {fault}. {REMEDY}, or remove the utterance.")
    try:
        with _opened(path) as sound:
            first, count = _stretch(path, sound, start, end)
            yield from _pieces(path, sound, first, count)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (soundfile.LibsndfileError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} is not audio ({_reason(error)}). {REMEDY}.") from None


def _pieces(path: Path, sound: "SoundFile", first: int, count: int) -> Iterator[Piece]:
    """The pieces of `count` samples from sample `first` on, read once from front to back.

    They begin at whole seconds, which are whole samples at any rate and whole frames.
    """
    rate = sound.samplerate
    note = _note(sound)
    whole = count <= MOST_SECONDS * rate
    step, around = (count, 0) if whole else (PIECE * rate, AROUND * rate)
    if first:
        with _decoding(sound.format == "MP3"):
            sound.seek(first)
    mono, begins, ends = np.empty(0, dtype=np.float32), 0, 0
    for at in range(0, count, step):
        since, until = max(0, at - around), min(count, at + step + around)
        new = _mono(path, sound, first + ends, until - ends)
        mono = np.concatenate([mono[since - begins :], new])
        begins, ends = since, until
        yield Piece(
            samples=_at_16_khz(path, mono, rate),
            before=(at - since) // rate * FRAME_RATE,
            frames=None if at + step >= count else PIECE * FRAME_RATE,
            note=note,
        )


def _note(sound: "SoundFile") -> str:
    notes = []
    if sound.channels > 1:
        notes.append(f"mixed down from {sound.channels} channels")
    if sound.samplerate != SAMPLE_RATE:
        notes.append(f"resampled from {sound.samplerate:,} Hz")
    return ", ".join(notes)


def _at_16_khz(path: Path, mono: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    if rate == SAMPLE_RATE:
        return mono
    resampled = librosa().resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE).astype(np.float32)
    if not len(resampled):
        raise InputError(f"{path} is shorter than one sample at 16 kHz. {REMEDY}.")
    return np.asarray(resampled, dtype=np.float32)


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
    first = round(start * rate)
    return first, max(1, min(round(end * rate), sound.frames) - first)


def _mono(path: Path, sound: "SoundFile", at: int, count: int) -> NDArray[np.float32]:
    """The next samples [count], from sample `at` on, of the mean of the channels."""
    mono = np.empty(count, dtype=np.float32)
    done = 0
    while done < count:
        most = min(count - done, max(1, BLOCK // sound.channels))
        with _decoding(sound.format == "MP3"):
            block = sound.read(most, dtype="float32", always_2d=True)
        if not len(block):
            raise InputError(
                f"{path} is cut short: {at + done:,} of {sound.frames:,} samples are there. "
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


def _of_frames(file: BinaryIO, size: int) -> str:
    """What is wrong with an MP3 that does not say its length."""
    counted = mpeg.counted(file, size) if containers.is_mpeg(file) else None
    return counted.fault if counted else ""


def _limits(sound: "SoundFile") -> str:
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        return (
            f"claims {sound.samplerate:,} samples a second; {RATES[0]:,} to {RATES[1]:,} are speech"
        )
    return ""


@contextmanager
def _opened(path: Path) -> "Iterator[SoundFile]":
    """The file for reading; where its length was never filled in, it is read to its end."""
    import soundfile

    with path.open("rb") as file:
        talks = containers.is_mpeg(file)
        size = containers.sized(file)
        counted = mpeg.counted(file, size) if talks else None
        if counted is not None:
            with _decoding(talks):
                sound = soundfile.SoundFile(mpeg.Headed(file, counted.start, counted.head))
            with sound:
                yield sound
            return
        unfilled = containers.open_wav(file, size)
        if unfilled is not None:
            start, there = unfilled
            length = min(there, 0xFFFFFFFF).to_bytes(4, "little")
            with soundfile.SoundFile(containers.Mended(file, start - 4, length)) as sound:
                yield sound
            return
    # by descriptor: soundfile takes a name that ends in .raw for headerless audio
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _decoding(talks):
            sound = soundfile.SoundFile(descriptor, closefd=False)
        with sound:
            yield sound
    finally:
        os.close(descriptor)


def _decoding(talks: bool) -> AbstractContextManager[None]:
    """Where a decoder is at work. talks: whether it is that of MP3, which tells everybody."""
    return quiet() if talks else nullcontext()


def _reason(error: Any) -> str:
    return str(getattr(error, "error_string", "") or error).strip().rstrip(".")
