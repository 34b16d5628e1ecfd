"""Some utterances of a corpus to one file of pooled frames: what a worker process does.

- A part is written whole or not at all (temporary file, fsync, rename), so that whatever exists
  after a kill is right and is not computed again.
- Normalisation needs a speaker's every frame, pooling only five, and both are linear: a part holds
  the frames pooled but not yet normalised, a fifth of the size, with each utterance's own moments.
- Workers are spawned, not forked (BLAS and numba have threads), and import nothing but this.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from activations.files import atomically
from bench.arrays import FloatArray, IntArray
from bench.corpora.audio import read_audio
from bench.features.extract import NAMES
from bench.features.extractors import extractor_of, read_own
from bench.features.settings import FeatureSettings


@dataclass(frozen=True)
class Part:
    """Rows `first` … `first` + U − 1 of a corpus's table.

    frames: [F, I] pooled, not normalised. lengths: [U] pooled frames of each utterance.
    counts, means, squares: [U], [U, I], [U, I] number of frames of 10 ms (before the cap), their
    mean and their summed squared deviations from it. notes: [U] what reading the audio took, or "".
    """

    first: int
    frames: FloatArray
    lengths: IntArray
    counts: IntArray
    means: NDArray[np.float64]
    squares: NDArray[np.float64]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Utterance:
    """What features are made of: where an utterance's audio is, and its id.

    start, end: seconds of the file that are the utterance, None for its beginning and its end.
    """

    audio: str
    id: str
    start: float | None = None
    end: float | None = None


def compute_part(
    path: Path, first: int, utterances: tuple[Utterance, ...], settings: FeatureSettings
) -> int:
    """Extract the utterances of rows `first` … into the part file `path`; how many there were.

    Raises InputError for audio that cannot be used; `path` then does not exist.
    """
    pooled: list[FloatArray] = []
    moments, notes = [], []
    for utterance in utterances:
        frames, note = frames_of(utterance, settings)
        if pooled and frames.shape[1] != pooled[0].shape[1]:
            raise InputError(
                f"utterance {utterance.id} has {frames.shape[1]} features and others have "
                f"{pooled[0].shape[1]}; all must have equally many"
            )
        pooled.append(pool(frames[: settings.cap], settings.pool))
        wide = frames.astype(np.float64)
        mean = wide.mean(axis=0)
        moments.append((len(frames), mean, ((wide - mean) ** 2).sum(axis=0)))
        notes.append(note)
    part = Part(
        first=first,
        frames=np.concatenate(pooled),
        lengths=np.array([len(frames) for frames in pooled], dtype=np.int64),
        counts=np.array([count for count, _, _ in moments], dtype=np.int64),
        means=np.stack([mean for _, mean, _ in moments]),
        squares=np.stack([square for _, _, square in moments]),
        notes=tuple(notes),
    )
    with atomically(path) as beside, beside.open("wb") as content:
        np.savez(content, **_arrays(part))
    return len(utterances)


def frames_of(utterance: Utterance, settings: FeatureSettings) -> tuple[FloatArray, str]:
    """The frames [T, I] that the settings keep of an utterance; a note on its audio, or ""."""
    if settings.path is not None:
        return read_own(Path(settings.path), utterance.id), ""
    audio = read_audio(Path(utterance.audio), utterance.start, utterance.end)
    extract = extractor_of(settings.kind, settings.extractor)
    return selected(extract(audio.samples), settings), audio.note


def selected(frames: FloatArray, settings: FeatureSettings) -> FloatArray:
    """The frames [t, I] of `frames` [T, I] that the settings keep; never none."""
    if settings.frames != "voiced":
        return frames
    voiced = frames[:, NAMES.index("f0")] > 0
    return frames[voiced] if voiced.any() else frames


def pool(frames: FloatArray, width: int) -> FloatArray:
    """Means [ceil(T / width), I] of `width` neighbouring frames [T, I]; the last of the rest."""
    starts = np.arange(0, len(frames), width)
    sums = np.add.reduceat(frames.astype(np.float64), starts, axis=0)
    sizes = np.minimum(width, len(frames) - starts)
    return np.asarray(sums / sizes[:, None], dtype=np.float32)


def load_part(path: Path, first: int, count: int) -> Part | None:
    """The part at `path` if it is there, readable, and of rows `first` … `first` + `count` − 1."""
    try:
        with np.load(path) as data:
            fields = {name: data[name] for name in data.files}
        part = Part(
            first=int(fields.pop("first")), notes=tuple(fields.pop("notes").tolist()), **fields
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None  # a damaged part is as good as none
    whole = part.first == first and len(part.lengths) == len(part.counts) == count
    return part if whole and len(part.frames) == part.lengths.sum() else None


def _arrays(part: Part) -> dict[str, Any]:
    return {**vars(part), "first": np.int64(part.first), "notes": np.array(part.notes, dtype=str)}


def leave_with_parent() -> None:
    """Make this worker process end when the one that started it does, however that ended.

    A worker of a killed parent would wait for work for ever: the pool's queue never reports an
    end, for the worker itself holds a writing end of it.
    """
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
