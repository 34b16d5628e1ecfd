"""What a running command shows: bars on a terminal, plain lines elsewhere; always on stderr.

- stdout belongs to what a command answers, so that it can be piped.
- In a log file a bar is noise: there, a line is written when something is finished.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # a table of activations needs neither plans nor torch
    from studies.status import Status

Count = Callable[[int, int], None]
SECONDS_BETWEEN_LINES = 15.0


class Display:
    """Shows notes, counts and the training of stacks."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def live(self) -> bool:
        """Whether somebody watches: stderr is a terminal."""
        return self._console.is_terminal

    def say(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        self._console.print(text, markup=False)

    @contextmanager
    def counting(self, what: str) -> Iterator[Count]:
        """Show how many of something are done; the block calls what it gets with (done, total).

        What is complete at the first call was done before, and is not shown.
        """
        if not self.live:
            yield self._lines(what)
            return
        with self._progress() as progress:
            tasks: list[TaskID] = []

            def count(done: int, total: int) -> None:
                if not tasks and done < total:
                    tasks.append(progress.add_task(what, total=total))
                for task in tasks:
                    progress.update(task, completed=done)

            yield count

    @contextmanager
    def training(self, members: int) -> Iterator["TrainingView"]:
        """Show the training of so many members, stack after stack."""
        if not self.live:
            yield TrainingView(self, members, None)
            return
        with self._progress() as progress:
            yield TrainingView(self, members, progress)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )

    def _lines(self, what: str) -> Count:
        """A line now and then, and one at the end."""
        last = time.monotonic()
        begun = finished = False

        def count(done: int, total: int) -> None:
            nonlocal last, begun, finished
            now = time.monotonic()
            begun = begun or done < total
            late = now - last > SECONDS_BETWEEN_LINES
            if begun and not finished and (late or done == total):
                self.say(f"{what}: {done:,} of {total:,}")
                last, finished = now, done == total

        return count


class TrainingView:
    """The bars of a study: members in all, and the steps of the stack that is being trained."""

    def __init__(self, display: Display, members: int, progress: Progress | None) -> None:
        self._display = display
        self._progress = progress
        self._members = members
        self._finished = 0
        self._stack: TaskID | None = None
        self._label = ""
        self._began = 0.0
        self._all = progress.add_task("members", total=members) if progress else None

    def start(self, label: str, steps: int) -> None:
        """A stack begins."""
        self._label, self._began = label, time.monotonic()
        if self._progress:
            self._stack = self._progress.add_task(label, total=steps)

    def step(self, done: int, dev_uar: float) -> None:
        """`done` steps of the stack are made; dev_uar: mean over its members, or NaN."""
        if self._progress and self._stack is not None:
            shown = "" if math.isnan(dev_uar) else f" · dev UAR {100 * dev_uar:.1f}"
            self._progress.update(self._stack, completed=done, description=f"{self._label}{shown}")

    def finish(self, members: int, outcome: str) -> None:
        """The stack is done."""
        self._finished += members
        if self._progress and self._stack is not None and self._all is not None:
            self._progress.remove_task(self._stack)
            self._progress.update(self._all, completed=self._finished)
        seconds = time.monotonic() - self._began
        self._display.say(
            f"{self._finished:>4} of {self._members} members · {self._label} · {outcome} · "
            f"{seconds:.1f} s"
        )


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; elsewhere than on a terminal no cell is cut."""
    console = _stdout()
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


def print_fields(data: Mapping[str, Any], indent: int = 0) -> None:
    """Print nested plain data on stdout as `name: value` lines, leaving out what is empty."""
    for name, value in data.items():
        if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
            print(f"{' ' * indent}{name}:")
            print_fields(value, indent + 2)
        elif isinstance(value, Mapping):
            print(f"{' ' * indent}{name}: {_pairs(value)}")
        elif isinstance(value, list | tuple) and value:
            print(f"{' ' * indent}{name}:")
            for entry in value:
                print(f"{' ' * indent}  {_pairs(entry) if isinstance(entry, Mapping) else entry}")
        elif value not in (None, "", [], ()):
            print(f"{' ' * indent}{name}: {value}")


def _pairs(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items() if v not in (None, ""))


def print_status(status: "Status") -> None:
    """Print a study's trials on stdout, with what is done and how long the rest may take."""
    rows = []
    for trial in status.trials:
        setting = " ".join(f"{name}={value}" for name, value in trial.setting.items())
        times = (_duration(trial.seconds), _duration(trial.seconds_left))
        done = f"{trial.finished}/{trial.members}"
        rows.append([trial.variant, setting, done, trial.diverged or "", *times])
    print_table(["trial", "setting", "members", "diverged", "took", "left"], rows)
    print(
        f"study {status.study}: {status.finished} of {status.members} members finished, "
        f"{status.members - status.finished} missing, "
        f"time left: {_duration(status.seconds_left) or 'none'}"
    )


def _duration(seconds: float | None) -> str:
    """Hours, minutes and seconds; "?" for None, nothing for 0."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else (f"{seconds:.1f} s" if seconds else "")


def _stdout() -> Console:
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=200)
