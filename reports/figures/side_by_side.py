"""Many figures in several processes, for drawing takes most of a report's time.

- Processes are forks: they have the analysis, the fonts and matplotlib for nothing. So it is done
  where a fork is safe: on Linux, in a process without other threads and without torch, whose
  threads for computing a fork would wait for. Elsewhere figures are drawn one after the other.
- What figures warn of is warned of here, in the order of the figures.
"""

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from reports.figures.figure import Figure

_Drawn = TypeVar("_Drawn")

_draw: Callable[[int], Any]  # in a fork: draws the figure at this place


def side_by_side(draw: Callable[[Figure], _Drawn], figures: Sequence[Figure]) -> list[_Drawn]:
    """What draw returns of each figure, in their order; it must bear being pickled.

    Raises what draw raises of the first figure that fails.
    """
    processes = min(len(os.sched_getaffinity(0)), len(figures)) if _forks_are_safe() else 1
    if processes < 2:
        return [draw(figure) for figure in figures]
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("fork"),
        initializer=_begin,
        initargs=(lambda place: draw(figures[place]),),
    )
    try:
        found = []
        for result, warned in pool.map(_draw_at, range(len(figures))):
            for message, category in warned:
                warnings.warn(message, category, stacklevel=2)
            found.append(result)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _forks_are_safe() -> bool:
    return sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules


def _begin(draw: Callable[[int], Any]) -> None:
    global _draw
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which waits for us
    _draw = draw


def _draw_at(place: int) -> tuple[Any, list[tuple[str, type[Warning]]]]:
    with warnings.catch_warnings(record=True) as warned:
        result = _draw(place)
    return result, [(str(each.message), each.category) for each in warned]
