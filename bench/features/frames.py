"""The frames of a corpus as they lie on disk, opened and compared with what was written.

- A store is years old when somebody trains on it again, and may have been copied twice: what is
  opened is compared with checksums, so that a flipped bit is an error and not a result.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from activations.errors import InputError, one_line
from activations.files import file_text
from bench.arrays import UNREADABLE, FloatArray, IntArray
from bench.features import checksums
from bench.features.moments import Moments


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """Normalised, capped and pooled frames of every utterance of a corpus.

    frames: [F, I] float32, mapped from disk. offsets, lengths: [U] int64, where in it the frames
    of the utterance in row u of the corpus's table are, and how many; none has 0. ids: [U] the
    utterances' ids. names: the I columns. key: hash of corpus and settings. settings: what
    `FeatureSettings.as_dict` said. notes: how many files had to be mixed down or resampled.
    moments: where frames are not normalised yet because folds will be (normalise: corpus).
    """

    folder: Path
    key: str
    frames: FloatArray
    offsets: IntArray
    lengths: IntArray
    ids: tuple[str, ...]
    names: tuple[str, ...]
    settings: dict[str, Any]
    notes: dict[str, int]
    moments: Moments | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def of(self, row: int) -> FloatArray:
        """Frames [T, I] of the utterance in `row` of the corpus's table."""
        return self.frames[self.offsets[row] : self.offsets[row] + self.lengths[row]]

    @staticmethod
    def open(folder: Path) -> "FeatureStore":
        """The store in `folder`. Raises InputError where there is none, or not as it was written.

        Big stores are compared with their checksums in a sample; `verify` does it in full.
        """
        folder = Path(folder)
        try:
            fault = _fault(folder)
            about = json.loads(file_text(folder / "settings.json"))
            with np.load(folder / "index.npz") as index:
                lengths, ids = index["lengths"], tuple(index["ids"].tolist())
            # copy on write: torch takes no memory that must not be written, and nobody writes it
            frames = np.load(folder / "frames.npy", mmap_mode="c")
            names = tuple(about["settings"]["names"])
            key, settings, notes = about["key"], about["settings"], about["notes"]
            moments = None
            if settings.get("normalise") == "corpus":
                with np.load(folder / "moments.npz") as parts:
                    moments = Moments(parts["counts"], parts["means"], parts["squares"])
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} is not a feature store: {one_line(Path(error.filename).name)[:200]} is "
                "missing. Delete the folder if it exists and compute the features again."
            ) from None
        except UNREADABLE as error:
            raise InputError(damaged(folder, str(error))) from None
        if fault:
            raise InputError(damaged(folder, fault))
        if lengths.ndim != 1 or lengths.dtype != np.int64 or np.any(lengths < 0):
            raise InputError(damaged(folder, "its lengths are none"))
        if frames.shape != (lengths.sum(), len(names)) or len(ids) != len(lengths):
            raise InputError(damaged(folder, "its files do not fit together"))
        offsets = np.cumsum(lengths) - lengths
        return FeatureStore(
            folder, key, frames, offsets, lengths, ids, names, settings, notes, moments
        )


def verify(folder: Path) -> None:
    """Compare every byte of a store with its checksums. Raises InputError where one differs."""
    try:
        fault = _fault(folder, whole=True)
    except UNREADABLE as error:
        raise InputError(damaged(folder, str(error))) from None
    if fault:
        raise InputError(damaged(folder, fault))


def _fault(folder: Path, *, whole: bool = False) -> str:
    """What of a store is not as it was written, or "". Stores without checksums are believed."""
    if (folder / checksums.FILE).exists():
        return checksums.fault(folder, whole=whole)
    about = json.loads(file_text(folder / "settings.json"))
    return f"{checksums.FILE} is missing" if about.get("checksums") else ""


def adopt(folder: Path) -> None:
    """Give checksums to a store of a version that wrote none: from here on it is what it is now.

    Raises InputError where it is damaged in a way that can be seen without them.
    """
    made = FeatureStore.open(folder)
    for start in range(0, len(made.frames), 1 << 20):
        if not np.isfinite(made.frames[start : start + (1 << 20)]).all():
            raise InputError(damaged(folder, "not all of its frames are finite"))
    checksums.write(folder)


def damaged(folder: Path, reason: str) -> str:
    """What the user of a damaged store reads."""
    return f"{folder} is damaged ({reason}). Delete it and compute the features again."
