"""The kinds of features a study can name: what each is, and where its frames come from.

- A kind is what its numbers depend on, as plain data (part of a store's key), and a function that
  gives an utterance's frames [T, F], always finite and never none.
- Extractors are imported where they are used: a plan needs no audio library.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from activations.errors import InputError
from bench.arrays import UNREADABLE, FloatArray

FeatureKind = Literal["iaan45", "egemaps", "logmel", "own"]
OWN_BLOCK = 1 << 16  # frames of `own` features that are read at once


class Extract(Protocol):
    """Frames [T, F] of samples [n]; loudest: see `loudest_moment`."""

    def __call__(self, samples: FloatArray, loudest: float | None = None) -> FloatArray: ...  # noqa: D102


def definition_of(kind: FeatureKind, extractor: str, path: Path | None) -> dict[str, Any]:
    """What the numbers of a kind depend on, the columns' `names` among them.

    Raises InputError where `own` features (path) cannot be read.
    """
    from bench.features import extract, logmel, smile

    if kind == "own":
        assert path is not None
        return own_definition(path)
    if kind == "logmel":
        return logmel.DEFINITION
    if kind == "egemaps":
        return smile.EGEMAPS
    return extract.DEFINITION if extractor == "librosa" else smile.IAAN45


def extractor_of(kind: FeatureKind, extractor: str) -> Extract:
    """What makes frames [T, F] of samples [n] at 16 kHz. Raises InputError where its library is
    missing.
    """
    from bench.features import extract, logmel, smile

    if kind == "iaan45" and extractor == "librosa":
        return extract.extract
    alone = {"logmel": logmel.extract, "egemaps": smile.egemaps}.get(kind, smile.iaan45)
    return lambda samples, loudest=None: alone(samples)  # noqa: ARG005


def loudest_moment(kind: FeatureKind, extractor: str) -> Callable[[FloatArray], FloatArray] | None:
    """What measures the loudness [T] of samples [n] of which a kind needs the utterance's largest.

    None for a kind whose frames hang on nothing far away.
    """
    from bench.features import pitch

    return pitch.frame_peaks if kind == "iaan45" and extractor == "librosa" else None


def own_file(folder: Path, utterance: str) -> Path:
    """Where the `own` features of an utterance lie."""
    return folder / f"{utterance}.npy"


def own_blocks(folder: Path, utterance: str) -> Iterator[FloatArray]:
    """An utterance's own features, block after block [t, F].

    Raises InputError naming a file that cannot be used.
    """
    path = own_file(folder, utterance)
    frames = _open_own(path)
    for start in range(0, len(frames), OWN_BLOCK):
        block = np.asarray(frames[start : start + OWN_BLOCK], dtype=np.float32)
        if not np.isfinite(block).all():
            raise InputError(f"{path} holds values that are not finite. Write it again.")
        yield block


def _open_own(path: Path) -> np.ndarray[Any, Any]:
    """The frames [T, F] of a file, mapped."""
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: features.path needs one .npy file [frames, features] for each "
            "utterance, named by its id"
        ) from None
    except UNREADABLE:
        frames = None
    if not isinstance(frames, np.ndarray):  # an archive of several arrays opens too
        raise InputError(f"{path} is no .npy file of numbers. Write it again.")
    if frames.ndim != 2 or not len(frames) or not frames.shape[1] or frames.dtype.kind not in "fiu":
        raise InputError(
            f"{path} holds {frames.dtype} {list(frames.shape)}; features must be numbers "
            "[frames, features], at least one of each"
        )
    return frames


@lru_cache(maxsize=8)
def own_definition(folder: Path) -> dict[str, Any]:
    """What `own` features depend on: the files' names and content.

    Raises InputError for a folder without any.
    """
    files = sorted(folder.glob("*.npy")) if folder.is_dir() else []
    if not files:
        raise InputError(f"features.path: {folder} holds no .npy file; see docs/features.md")
    digest = hashlib.sha256()
    try:
        for path in files:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from None
    width = _open_own(files[0]).shape[1]
    return {
        "extractor": "own",
        "version": 1,
        "content": digest.hexdigest()[:32],
        "names": [f"own{column}" for column in range(1, width + 1)],
    }
