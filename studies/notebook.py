"""What a notebook shows of a running study: one line of text with a bar, updated in place.

- IPython's own display is enough, and every kernel has it; rich's bars need ipywidgets.
- A cell's output is kept in the notebook's file: what is updated leaves one line behind.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any

from activations.errors import printable
from activations.wording import counted
from studies.pace import Pace
from studies.progress import Count, StackAt
from studies.training_lines import where

SECONDS_BETWEEN = 0.5  # two updates, each of which is a message to the browser


class NotebookDisplay:
    """A Display in the output of a cell."""

    def say(self, text: str) -> None:
        """Print a line."""
        print(printable(text))

    @contextmanager
    def counting(self, what: str) -> Iterator[Count]:
        """A bar of how many are done; none where all were done before."""
        bars: list[_Bar] = []

        def count(done: int, total: int) -> None:
            if not bars and done < total:
                bars.append(_Bar())
            for bar in bars:
                bar.show(done / total, f"{what}: {done:,} of {total:,}", last=done == total)

        yield count

    @contextmanager
    def training(self, members: int, work: float) -> Iterator["NotebookBar"]:
        """A bar of the training of so many members."""
        view = NotebookBar(Pace(members, work))
        try:
            yield view
        finally:
            view.show(last=True)


class NotebookBar:
    """A TrainingView: the members that are finished, the pace, and where each stack is."""

    def __init__(self, pace: Pace) -> None:
        self._pace, self._bar = pace, _Bar()
        self._running: dict[str, StackAt] = {}

    def step(self, place: str, at: StackAt) -> None:
        """A stack is so far."""
        self._running[place] = at
        self._pace.step(place, at)
        self.show()

    def finish(self, place: str, at: StackAt, outcome: str) -> None:
        """A stack has ended; what failed or diverged is printed."""
        self._running.pop(place, None)
        self._pace.finish(place, at.members, at.work)
        if outcome != "ok":
            print(printable(f"{at.label}: {outcome}"))
        self.show()

    def show(self, *, last: bool = False) -> None:
        """Update the line, unless it was just now."""
        count = f"{self._pace.finished:,} of {counted(self._pace.members, 'member')}"
        stacks = [f"{at.label}, {where(at)}" for at in self._running.values()]
        parts = [count, self._pace.text(), *stacks]
        self._bar.show(self._pace.share, " · ".join(filter(None, parts)), last=last)


class _Bar:
    """A line of a cell's output that is updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = 0.0

    def show(self, share: float, text: str, *, last: bool) -> None:
        """Show it, unless it was shown just now; the last time in any case."""
        now = time.monotonic()
        if not last and now - self._last < SECONDS_BETWEEN:
            return
        self._last = now
        line = _Line(share, text)
        if self._handle is None:
            shown: Any = import_module("IPython.display")  # has types where it is installed
            self._handle = shown.display(line, display_id=True)
        else:
            self._handle.update(line)


class _Line:
    """A share and a text, as a browser and as a terminal show them."""

    def __init__(self, share: float, text: str) -> None:
        self._share, self._text = share, text

    def _repr_html_(self) -> str:
        return f'<progress value="{self._share:.4f}" max="1"></progress> {escape(self._text)}'

    def __repr__(self) -> str:
        filled = round(20 * self._share)
        return f"[{'#' * filled}{'.' * (20 - filled)}] {self._text}"
