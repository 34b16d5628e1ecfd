"""Some utterances of a corpus to one file of pooled frames: what a worker process does.

- A part is written whole or not at all (temporary file, fsync, rename), so that whatever exists
  after a kill is right and is not computed again.
- Normalisation needs a speaker's every frame, pooling only five, and both are linear: a part holds
  the frames pooled but not yet normalised, a fifth of the size, with each utterance's own moments.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from activations.files import atomically
from bench.arrays import UNREADABLE, FloatArray, IntArray
from bench.features.settings import FeatureSettings
from bench.features.streaming import Heard, hear


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

    def normalised(
        self,
        centre: NDArray[np.float64],
        scale: NDArray[np.float64],
        settings: FeatureSettings,
    ) -> FloatArray:
        """Its frames [F, I] less their utterance's centre [U, I], times its scale [U, I]."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        normal = (self.frames - centre[rows]) * scale[rows]
        if settings.pool_tail == "zeros":
            last = np.cumsum(self.lengths) - 1
            left = np.minimum(self.counts, settings.cap) % settings.pool
            normal[last] *= np.where(left, left / settings.pool, 1.0)[:, None]
        return normal.astype(np.float32)


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
    part = part_of(first, utterances, settings)
    with atomically(path) as beside, beside.open("wb") as content:
        np.savez(content, **_arrays(part))
    return len(utterances)


def part_of(first: int, utterances: tuple[Utterance, ...], settings: FeatureSettings) -> Part:
    """The part of these utterances. Raises InputError for audio that cannot be used."""
    heard: list[Heard] = []
    for utterance in utterances:
        one = hear(Path(utterance.audio), utterance.id, utterance.start, utterance.end, settings)
        if heard and one.frames.shape[1] != heard[0].frames.shape[1]:
            raise InputError(
                f"utterance {utterance.id} has {one.frames.shape[1]} features and others have "
                f"{heard[0].frames.shape[1]}; all must have equally many"
            )
        heard.append(one)
    return Part(
        first=first,
        frames=np.concatenate([one.frames for one in heard]),
        lengths=np.array([len(one.frames) for one in heard], dtype=np.int64),
        counts=np.array([one.count for one in heard], dtype=np.int64),
        means=np.stack([one.mean for one in heard]),
        squares=np.stack([one.squares for one in heard]),
        notes=tuple(one.note for one in heard),
    )


def load_part(path: Path, first: int, count: int) -> Part | None:
    """The part at `path` if it is there, readable, and of rows `first` … `first` + `count` − 1."""
    try:
        with np.load(path) as data:
            fields = {name: data[name] for name in data.files}
        part = Part(
            first=int(fields.pop("first")), notes=tuple(fields.pop("notes").tolist()), **fields
        )
    except UNREADABLE:
        return None  # a damaged part is as good as none
    whole = part.first == first and len(part.lengths) == len(part.counts) == count
    return part if whole and len(part.frames) == part.lengths.sum() else None


def _arrays(part: Part) -> dict[str, Any]:
    return {**vars(part), "first": np.int64(part.first), "notes": np.array(part.notes, dtype=str)}
