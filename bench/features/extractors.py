"""The kinds of features a study can name: what each is, and where its frames come from.

- A kind is what its numbers depend on, as plain data (part of a store's key), and a function that
  gives an utterance's frames [T, F], always finite and never none.
- Extractors are imported where they are used: a plan needs no audio library.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from activations.errors import InputError
from bench.arrays import FloatArray

FeatureKind = Literal["iaan45", "egemaps", "logmel", "own"]


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


def extractor_of(kind: FeatureKind, extractor: str) -> Callable[[FloatArray], FloatArray]:
    """What makes frames [T, F] of samples [n] at 16 kHz. Raises InputError where its library is
    missing.
    """
    from bench.features import extract, logmel, smile

    if kind == "logmel":
        return logmel.extract
    if kind == "egemaps":
        return smile.egemaps
    return extract.extract if extractor == "librosa" else smile.iaan45


def own_file(folder: Path, utterance: str) -> Path:
    """Where the `own` features of an utterance lie."""
    return folder / f"{utterance}.npy"


def read_own(folder: Path, utterance: str) -> FloatArray:
    """An utterance's own features [T, F]. Raises InputError naming a file that cannot be used."""
    path = own_file(folder, utterance)
    try:
        frames = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: features.path needs one .npy file [frames, features] for each "
            "utterance, named by its id"
        ) from None
    except (OSError, ValueError, EOFError):
        raise InputError(f"{path} is no .npy file of numbers. Write it again.") from None
    if frames.ndim != 2 or not len(frames) or not frames.shape[1] or frames.dtype.kind not in "fiu":
        raise InputError(
            f"{path} holds {frames.dtype} {list(frames.shape)}; features must be numbers "
            "[frames, features], at least one of each"
        )
    frames = np.asarray(frames, dtype=np.float32)
    if not np.isfinite(frames).all():
        raise InputError(f"{path} holds values that are not finite. Write it again.")
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
    width = read_own(folder, files[0].stem).shape[1]
    return {
        "extractor": "own",
        "version": 1,
        "content": digest.hexdigest()[:32],
        "names": [f"own{column}" for column in range(1, width + 1)],
    }
