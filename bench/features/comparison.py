"""How well librosa's columns agree with openSMILE's, on a corpus's own recordings.

- Features of one name from two programs are only the same features if they move together: each
  utterance's columns are compared frame by frame, on the grid of openSMILE's.
- openSMILE's frames are not centred as librosa's are; the shift is the one at which the first MFCC
  agrees best, once for all columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.arrays import FloatArray
from bench.corpora.audio import read_audio
from bench.features import extract, smile

SHIFTS = range(-4, 5)  # frames


@dataclass(frozen=True)
class ColumnAgreement:
    """correlation [45]: median over utterances of Pearson's r, of the columns extract.NAMES.

    lowest [45]: tenth percentile. shift: frames by which librosa's grid is later.
    """

    names: tuple[str, ...]
    correlation: NDArray[np.float64]
    lowest: NDArray[np.float64]
    shift: int
    utterances: int
    frames: int


def compare(files: Sequence[str], progress: Callable[[int, int], None]) -> ColumnAgreement:
    """Extract both of each file and correlate. Raises InputError where openSMILE is missing."""
    pairs = []
    for done, file in enumerate(files):
        progress(done, len(files))
        samples = read_audio(Path(file)).samples
        pairs.append((extract.extract(samples), smile.iaan45(samples)))
    progress(len(files), len(files))
    first = extract.NAMES.index("mfcc1")
    shift = max(SHIFTS, key=lambda by: np.nanmedian([_r(a, b, by)[first] for a, b in pairs]))
    of_utterances = np.array([_r(ours, theirs, shift) for ours, theirs in pairs])
    return ColumnAgreement(
        names=extract.NAMES,
        correlation=np.nanmedian(of_utterances, axis=0),
        lowest=np.nanpercentile(of_utterances, 10, axis=0),
        shift=shift,
        utterances=len(pairs),
        frames=sum(len(theirs) for _, theirs in pairs),
    )


def _r(ours: FloatArray, theirs: FloatArray, shift: int) -> NDArray[np.float64]:
    """Pearson's r [45] of frames that lie at the same time; NaN for a column that is constant."""
    a = ours[max(shift, 0) :].astype(np.float64)
    b = theirs[max(-shift, 0) :].astype(np.float64)
    n = min(len(a), len(b))
    a, b = a[:n] - a[:n].mean(0), b[:n] - b[:n].mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0)))
