"""One audio file to 16 kHz mono samples, or what is wrong with it and what to do.

- Whoever reads a corpus wants to hear of the one file that was cut short before an hour of
  features, not in the middle of it: `audio_fault` looks at a file's head, ten thousand files in a
  second. Reading the samples asks it again, so the two cannot disagree.
- libsndfile reads a truncated wav as a shorter one without a word, so the sizes that the file
  itself states are checked first.
- A program that writes into a pipe cannot know the length when it writes the head. Such a wav ends
  where the file ends.
- A recording in another rate or with more channels is no fault: it is mixed down and resampled,
  and the store notes how often that happened.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from bench.corpora.library import librosa

SAMPLE_RATE = 16_000
REMEDY = "Copy it again from the corpus"

# what programs state as a wav's length when they write it to a pipe: FFmpeg and others; SoX and
# eSpeak NG. Some leave the 0 that they meant to fill in later.
OPEN_LENGTHS = (0xFFFFFFFF, 0x7FFFF000)


@dataclass(frozen=True)
class Audio:
    """samples: [n] float32 at 16 kHz, n > 0. note: what had to be done to get there, or ""."""

    samples: NDArray[np.float32]
    note: str


def audio_fault(path: Path) -> str:
    """What is wrong with the file, to be read after its name; "" when nothing is.

    A wav file's head is walked chunk by chunk; it must hold as many samples as it says. Other
    formats are only asked whether soundfile can open them.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            return "is not a file"
        if size == 0:
            return "is empty"
        wav = _wav_head(path)
        return _format_fault(path) if wav is None else wav.fault
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def read_audio(path: Path) -> Audio:
    """Read `path` (wav, flac and whatever else libsndfile knows) as 16 kHz mono.

    Raises InputError where `audio_fault` finds something, where the samples cannot be decoded, and
    where some are not numbers.
    """
    import soundfile

    if fault := audio_fault(path):
        raise InputError(f"{path} {fault}. {REMEDY}, or remove the utterance.")
    try:
        samples, rate = soundfile.read(_closed(path), dtype="float32", always_2d=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (soundfile.LibsndfileError, TypeError) as error:
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
        notes.append(f"resampled from {rate:,} Hz")
        mono = librosa().resample(mono, orig_sr=rate, target_sr=SAMPLE_RATE).astype(np.float32)
        if not len(mono):
            raise InputError(f"{path} is shorter than one sample at 16 kHz. {REMEDY}.")
    return Audio(mono, ", ".join(notes))


@dataclass(frozen=True)
class _WavHead:
    """What a wav file says of its samples.

    start: where they begin, None where the file ends before. stated, there: how many bytes of them
    the file promises and has. sized: whether the file states its own size rightly.
    seen_format: whether it says what a sample is.
    """

    start: int | None = None
    stated: int = 0
    there: int = 0
    sized: bool = False
    seen_format: bool = False

    @property
    def unfilled(self) -> bool:
        """Whether the length is a 0 that its writer meant to fill in."""
        return self.stated == 0 and not self.sized

    @property
    def fault(self) -> str:
        if self.start is None:
            return "is cut short: it ends within its header"
        if not self.seen_format:
            return "is not a wav file (it does not say its sample format)"
        is_open = self.unfilled or self.stated in OPEN_LENGTHS
        length = self.there if is_open else self.stated
        if length == 0:
            return "holds no samples"
        if self.there < length:
            return f"is cut short: {self.there:,} of {length:,} bytes of samples are there"
        return ""


def _wav_head(path: Path) -> _WavHead | None:
    """The head of a wav file; None for a file of another format."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return None
        sized = int.from_bytes(head[4:8], "little") == size - 8
        seen_format = False
        while len(chunk := file.read(8)) == 8:
            name, length = chunk[:4], int.from_bytes(chunk[4:], "little")
            if name == b"data":
                start = file.tell()
                return _WavHead(start, length, size - start, sized, seen_format)
            seen_format |= name == b"fmt "
            file.seek(length + length % 2, io.SEEK_CUR)  # chunks begin at even bytes
    return _WavHead()


def _format_fault(path: Path) -> str:
    """What is wrong with a file that is no wav."""
    import soundfile  # only where a corpus is not made of wav files

    try:
        frames = soundfile.info(str(path)).frames
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a headerless name, ".raw"
        with path.open("rb") as file:
            return f"is in no audio format that soundfile reads (it begins with {file.read(4)!r})"
    return "" if frames else "holds no samples"


def _closed(path: Path) -> str | io.BytesIO:
    """The file for soundfile, which takes a length of 0 at its word."""
    wav = _wav_head(path)
    if wav is None or wav.start is None or not wav.unfilled:
        return str(path)
    data = bytearray(path.read_bytes())
    data[wav.start - 4 : wav.start] = wav.there.to_bytes(4, "little")
    return io.BytesIO(data)


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", "") or error).strip().rstrip(".")
