"""The check that every reader of a corpus makes of its audio, and how long it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from bench.corpora.audio import SLACK, AudioState, look

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class AudioCheck:
    """faults: a sentence each. usable, seconds: [n] of the rows, seconds NaN where it is faulty."""

    faults: tuple[str, ...]
    usable: NDArray[np.bool_]
    seconds: NDArray[np.float64]

    def refuse_faults(self, begin: str, remedy: str) -> None:
        """Raise InputError, a sentence that begins so, naming the first fault if there is one."""
        if self.faults:
            more = f" (and {len(self.faults) - 1:,} more)" if len(self.faults) > 1 else ""
            raise InputError(f"{begin} {self.faults[0]}{more}; {remedy}")


def check_audio(table: "pd.DataFrame", root: Path) -> AudioCheck:
    """Look at the audio of a corpus's table: `audio`, and `start`, `end` of rows with `segment`.

    Files are named by their path below `root`; a folder that is missing is named once, for all of
    its files.
    """
    looks: dict[str, AudioState] = {}
    faults: dict[str, None] = {}
    usable = np.zeros(len(table), dtype=np.bool_)
    seconds = np.full(len(table), np.nan)
    columns: Sequence[Sequence[object]] = [
        table[name].tolist() if name in table else [False] * len(table)
        for name in ("audio", "segment", "start", "end")
    ]
    for row, (audio, segment, start, end) in enumerate(zip(*columns, strict=True)):
        path = Path(str(audio))
        if str(audio) not in looks:
            looks[str(audio)] = look(path)
        found = looks[str(audio)]
        fault, length = found.fault, found.seconds
        if not fault and segment:
            first = float(str(start)) if start == start else 0.0
            last = float(str(end)) if end == end else length
            if not first < last <= length + SLACK:
                fault = f"has {length:.2f} s, and no stretch from {first:g} to {last:g} s"
            length = min(last, length) - first
        if fault:
            gone = fault == "is missing" and not path.parent.exists()
            faults[f"{_below(path.parent if gone else path, root)} {fault}"] = None
        else:
            usable[row], seconds[row] = True, length
    return AudioCheck(tuple(faults), usable, seconds)


def _below(path: Path, root: Path) -> str:
    root = root.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
