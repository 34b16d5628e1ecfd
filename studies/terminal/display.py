"""What a running command shows: bars on a terminal, plain lines elsewhere; always on stderr.

- stdout belongs to what a command answers, so that it can be piped.
- In a log file a bar is noise: there, a line is written when something is finished.
"""

import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
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

from activations.errors import printable
from activations.wording import counted
from studies.device_use import DeviceUse
from studies.pace import Pace
from studies.progress import SILENT, Count, StackAt, TrainingView
from studies.training_lines import TrainingLines

if TYPE_CHECKING:  # a table of activations needs neither plans nor torch
    from studies.completion import Status
    from studies.terminal.doctor import Diagnosis
    from studies.tuned import Choice

SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_USES = 5.0  # of what is shown of the devices
BAR, NARROW = 24, 10  # columns of a bar, and of one where there are fewer than:
WIDE = 100
BESIDE = 36  # columns that what stands beside a bar takes: " 2,999/3,000 12:34:56 dev UAR 45.0"


class TerminalDisplay:
    """Shows notes, counts and the training of stacks. quiet: shows warnings alone."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal on which lines can be drawn anew."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def say(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        if not self._quiet or text.startswith("warning"):
            self._console.print(printable(text), markup=False)

    @contextmanager
    def counting(self, what: str) -> Iterator[Count]:
        """Show how many of something are done; the block calls what it gets with (done, total).

        What is complete at the first call was done before, and is not shown.
        """
        if self._quiet or not self.live:
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
    def training(self, members: int, work: float) -> Iterator["TrainingView"]:
        """Show the training of so many members, stack after stack."""
        pace, use = Pace(members, work), DeviceUse(gpus=True)
        if self._quiet:
            yield SILENT
        elif not self.live:
            with TrainingLines(self.say, pace, use).running() as lines:
                yield lines
        else:
            with _TrainingProgress(self._console) as progress:
                yield TrainingBars(self, progress, pace, use)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR),
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


class _TrainingProgress(Progress):
    """A bar for each task with its score, and below them a line as wide as the terminal.

    In 80 columns nothing but a long name of a stack is cut.
    """

    def __init__(self, console: Console) -> None:
        self.below = ""
        bar = BAR if console.width >= WIDE else NARROW
        self._room = max(16, console.width - bar - BESIDE)
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=bar),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[score]}"),
            console=console,
        )

    def named(self, label: str) -> str:
        """The name as there is room for it."""
        return label if len(label) <= self._room else f"{label[: self._room - 1]}…"

    def get_renderables(self) -> Iterator[RenderableType]:
        """What is drawn, from above."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.below)


@dataclass
class _Running:
    """A stack in training, its bar, and when it began."""

    label: str
    bar: TaskID
    began: float


class TrainingBars:
    """The bars of a study: all of its work with its pace and the devices' use, and the steps of
    each stack that is being trained.
    """

    def __init__(
        self, display: TerminalDisplay, progress: _TrainingProgress, pace: Pace, use: DeviceUse
    ) -> None:
        self._display, self._progress, self._pace, self._use = display, progress, pace, use
        self._running: dict[str, _Running] = {}
        self._used, self._asked = "", time.monotonic()
        self._all = progress.add_task("members", total=1.0, count="", score="")
        self._show_all()

    def step(self, place: str, at: StackAt) -> None:
        """A stack is so far."""
        label = f"{place} · {at.label}" if place else at.label
        running = self._running.get(place)
        if running is None or running.label != label:
            self._stop(place)
            name = self._progress.named(label)
            bar = self._progress.add_task(name, total=at.steps, count="", score="")
            running = self._running[place] = _Running(label, bar, time.monotonic())
        self._pace.step(place, at)
        score = "" if math.isnan(at.dev_uar) else f"dev UAR {100 * at.dev_uar:.1f}"
        count = f"{at.step:,}/{at.steps:,}"
        self._progress.update(running.bar, completed=at.step, count=count, score=score)
        self._show_all()

    def finish(self, place: str, at: StackAt, outcome: str) -> None:
        """A stack has ended."""
        self._pace.finish(place, at.members, at.work)
        running = self._stop(place)
        self._show_all()
        count = f"{self._pace.finished:>4} of {counted(self._pace.members, 'member')}"
        took = f"{time.monotonic() - running.began:.1f} s" if running else ""
        parts = [count, place, at.label, outcome, took]
        self._display.say(" · ".join(filter(None, parts)))

    def _show_all(self) -> None:
        now = time.monotonic()
        if now - self._asked >= SECONDS_BETWEEN_USES:
            self._used, self._asked = self._use.text(), now
        count = f"{self._pace.finished:,}/{self._pace.members:,}"
        self._progress.update(self._all, completed=self._pace.share, count=count)
        left = self._pace.text() or "time left: ?"
        parts = [left if self._pace.finished < self._pace.members else "", self._used]
        self._progress.below = " · ".join(filter(None, parts))

    def _stop(self, place: str) -> _Running | None:
        """Take away what is shown of the stack at a place."""
        running = self._running.pop(place, None)
        if running is not None:
            self._progress.remove_task(running.bar)
        return running


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; elsewhere than on a terminal no cell is cut."""
    console = _stdout()
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console.print(table)


def print_lines(text: str) -> None:
    """Print plain text on stdout, without what a terminal would obey."""
    print(printable(text))


def print_fields(data: Mapping[str, Any], indent: int = 0) -> None:
    """Print nested plain data on stdout as `name: value` lines, leaving out what is empty."""
    for name, value in data.items():
        if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
            print_lines(f"{' ' * indent}{name}:")
            print_fields(value, indent + 2)
        elif isinstance(value, Mapping):
            print_lines(f"{' ' * indent}{name}: {_pairs(value)}")
        elif isinstance(value, list | tuple) and value:
            print_lines(f"{' ' * indent}{name}:")
            for entry in value:
                print_lines(
                    f"{' ' * indent}  {_pairs(entry) if isinstance(entry, Mapping) else entry}"
                )
        elif value not in (None, "", [], ()):
            print_lines(f"{' ' * indent}{name}: {value}")


def _pairs(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items() if v not in (None, ""))


def print_status(status: "Status") -> None:
    """Print a study's trials on stdout, with what is done and how long the rest may take."""
    rows = []
    for trial in status.trials:
        setting = " ".join(f"{name}={value}" for name, value in trial.setting.items())
        times = (duration(trial.seconds), duration(trial.seconds_left))
        done = f"{trial.finished}/{trial.members}"
        rows.append([trial.variant, setting, done, trial.diverged or "", *times])
    if rows:
        print_table(["trial", "setting", "members", "diverged", "took", "left"], rows)
        print_lines(
            f"study {status.study}: {status.finished} of "
            f"{counted(status.members, 'member')} finished, "
            f"{status.members - status.finished} missing, "
            f"time left: {duration(status.seconds_left) or 'none'}"
        )
    if search := status.search:
        print_lines(
            f"search of {status.study}: {search.finished} of "
            f"{counted(search.members, 'member')} finished, "
            f"{counted(search.trials, 'setting')} of each variant on each fold; "
            + ("complete" if search.complete else f"it goes on with: gateswap tune {status.study}")
        )
    for sentence in (*status.unreadable, *filter(None, [status.seeds])):
        print_lines(sentence)
    if len(status.kinds) > 1 or any(kind.device != "cpu" for kind in status.kinds):
        print_lines("computed on: " + "; ".join(f"{k} ({n})" for k, n in status.kinds.items()))


def print_activations(listing: Sequence[Mapping[str, Any]]) -> None:
    """Print on stdout what `activations.description` lists."""
    rows = []
    for entry in listing:
        parameters = [parameter["name"] for parameter in entry["parameters"]]
        what = [entry["name"], ", ".join(entry["aliases"]), entry["family"], entry["formula"]]
        rows.append([*what, ", ".join(parameters), entry["source"]])
    print_table(["name", "aliases", "family", "formula", "parameters", "source"], rows)


def print_choices(found: "Mapping[str, Mapping[str, Choice]]", search: Sequence[str]) -> None:
    """Print on stdout what a search chose for each variant, with the fields that were searched.

    found: by the variant's label and the fold. Each value comes with the number of folds that have
    it, where there are several.
    """
    fields = [key.partition(".")[2] for key in search]
    rows = []
    for label, by_fold in found.items():
        choices = list(by_fold.values())
        mean = sum(choice.dev_uar for choice in choices) / len(choices)
        values = [_counted([getattr(c.hyper, name) for c in choices]) for name in fields]
        tried = "–".join(map(str, sorted({choice.tried for choice in choices})))
        rows.append([label, tried, f"{100 * mean:.1f}", *values])
    print_table(["variant", "tried", "dev UAR", *fields], rows)


def _counted(values: Sequence[object]) -> str:
    """Values with their number, the most frequent first: "0.002 ×4, 0.008"."""
    counts = Counter(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    return ", ".join(f"{value} ×{n}" if n > 1 else value for value, n in counts)


def print_diagnosis(diagnosis: "Diagnosis") -> None:
    """Print the checks of a machine on stdout."""
    marks = {(True, True): "ok", (True, False): "ok", (False, True): "MISSING"}
    print_table(
        ["", "what", "found", "to do"],
        [
            [marks.get((c.ok, c.needed), "–"), c.name, c.found, "" if c.ok else c.remedy]
            for c in diagnosis.checks
        ],
    )


def duration(seconds: float | None) -> str:
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
