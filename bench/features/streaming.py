"""Frames of an utterance of any length, some minutes at a time.

- A recorder that was left running is one utterance of three hours. Its samples, spectra and pitch
  candidates take gigabytes; what is kept of it are the first frames and the moments of all.
- Up to half an hour an utterance is one piece and its frames are what they always were. A longer
  one is cut into pieces that hear some seconds of their neighbours, so that windows, slopes and
  the pitch's path are those of the whole; the loudest moment, to which pitch compares everything,
  is found in a pass of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.arrays import FloatArray
from bench.corpora.audio import Piece, read_pieces
from bench.features.extract import NAMES
from bench.features.extractors import extractor_of, loudest_moment, own_blocks
from bench.features.settings import FeatureSettings


@dataclass(frozen=True, eq=False)
class Heard:
    """What is kept of an utterance.

    frames: [t, I] pooled, of those before the cap. count, mean [I], squares [I]: number of all
    selected frames, their mean and their summed squared deviations from it. note: on its audio.
    """

    frames: FloatArray
    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    note: str


def hear(
    audio: Path, name: str, start: float | None, end: float | None, settings: FeatureSettings
) -> Heard:
    """The frames that the settings keep of an utterance.

    audio, start, end: as `read_pieces` takes them; name: its id, by which `own` features are found.
    Raises InputError for audio or features that cannot be used.
    """
    if settings.path is not None:
        return _summary(own_blocks(Path(settings.path), name), settings, "")
    pieces = read_pieces(audio, start, end)
    first = next(pieces)
    return _summary(_frames(first, pieces, settings, (audio, start, end)), settings, first.note)


def _frames(
    first: Piece,
    others: Iterator[Piece],
    settings: FeatureSettings,
    place: tuple[Path, float | None, float | None],
) -> Iterator[FloatArray]:
    """The frames [t, I] of each piece."""
    extract = extractor_of(settings.kind, settings.extractor)
    loudest = None
    if not first.last and (measure := loudest_moment(settings.kind, settings.extractor)):
        loudest = max(
            float(piece.own(measure(piece.samples)).max()) for piece in read_pieces(*place)
        )
    yield first.own(extract(first.samples, loudest))
    for piece in others:
        yield piece.own(extract(piece.samples, loudest))


def _summary(blocks: Iterator[FloatArray], settings: FeatureSettings, note: str) -> Heard:
    """What is kept of blocks of frames [t, I]; where none is voiced, all count as selected."""
    kept, every = _Kept(settings.cap, settings.pool), _Kept(settings.cap, settings.pool)
    for block in blocks:
        if settings.frames == "voiced":
            if not kept.count:
                every.add(block)
            block = block[block[:, NAMES.index("f0")] > 0]
        kept.add(block)
    return (kept if kept.count else every).heard(note)


@dataclass(eq=False)
class _Kept:
    """Moments of all frames that were added, and the first `cap` of them, pooled by `pool`."""

    cap: int
    pool: int
    count: int = 0
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    pooled: list[FloatArray] = field(default_factory=list)
    rest: FloatArray | None = None  # fewer than `pool` frames, which the next block goes on with

    def add(self, block: FloatArray) -> None:
        """Take in the next frames [t, I]."""
        if not len(block):
            return
        left = self.cap - self.count
        if left > 0:
            head = block[:left] if self.rest is None else np.concatenate([self.rest, block[:left]])
            whole = len(head) // self.pool * self.pool
            self.pooled.append(pool(head[:whole], self.pool))
            self.rest = head[whole:].copy()
        wide = block.astype(np.float64)
        mean = wide.mean(axis=0)
        squares = ((wide - mean) ** 2).sum(axis=0)
        if self.count:  # Chan, Golub & LeVeque (1979)
            total, apart = self.count + len(block), mean - self.mean
            squares += self.squares + apart**2 * (self.count * len(block) / total)
            mean = self.mean + apart * (len(block) / total)
        self.count, self.mean, self.squares = self.count + len(block), mean, squares

    def heard(self, note: str) -> Heard:
        """What was kept."""
        assert self.rest is not None  # every utterance has a frame
        frames = np.concatenate([*self.pooled, pool(self.rest, self.pool)])
        return Heard(frames, self.count, self.mean, self.squares, note)


def pool(frames: FloatArray, width: int) -> FloatArray:
    """Means [ceil(T / width), I] of `width` neighbouring frames [T, I]; the last of the rest."""
    if not len(frames):
        return np.zeros((0, frames.shape[1]), dtype=np.float32)
    starts = np.arange(0, len(frames), width)
    sums = np.add.reduceat(frames.astype(np.float64), starts, axis=0)
    sizes = np.minimum(width, len(frames) - starts)
    return np.asarray(sums / sizes[:, None], dtype=np.float32)
