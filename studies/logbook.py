"""A study's log file: everything that was said, and how training went, with times.

- Whoever comes back in the morning reads what happened at night, whatever the command showed.
- The file is a courtesy: a disk that refuses it ends it and nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from studies.device_use import DeviceUse
from studies.pace import Pace
from studies.progress import Count, Display, StackAt, TrainingView
from studies.training_lines import TrainingLines


class Logbook:
    """A Display that writes down what it passes on. file: is appended to. gpus: whether some are
    in use; asked when training begins.
    """

    def __init__(
        self, inner: Display, file: Path, *, gpus: Callable[[], bool] = lambda: False
    ) -> None:
        self._inner, self._file, self._gpus = inner, file, gpus
        self._refused = False

    def write(self, text: str) -> None:
        """Write a line with the time of day, to the file alone."""
        if self._refused:
            return
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}\n")
        except OSError as error:
            self._refused = True
            reason = (error.strerror or str(error)).lower()
            self._inner.say(f"warning: {self._file} cannot be written ({reason}); no log is kept")

    def say(self, text: str) -> None:
        """A line that the user should know."""
        self.write(text)
        self._inner.say(text)

    @contextmanager
    def counting(self, what: str) -> Iterator[Count]:
        """How many of something are done; when it began and ended is written."""
        begun = finished = False
        with self._inner.counting(what) as shown:

            def count(done: int, total: int) -> None:
                nonlocal begun, finished
                if done < total and not begun:
                    begun = True
                    self.write(f"{what}: {done:,} of {total:,}")
                if begun and done == total and not finished:
                    finished = True
                    self.write(f"{what}: {done:,} of {total:,}")
                shown(done, total)

            yield count

    @contextmanager
    def training(self, members: int, work: float) -> Iterator["_Both"]:
        """The training of so many members, shown and written."""
        lines = TrainingLines(self.write, Pace(members, work), DeviceUse(gpus=self._gpus()))
        with ExitStack() as stack:
            shown = stack.enter_context(self._inner.training(members, work))
            yield _Both(shown, stack.enter_context(lines.running()))


class _Both:
    """Two views of one training."""

    def __init__(self, *views: TrainingView) -> None:
        self._views = views

    def step(self, place: str, at: StackAt) -> None:
        for view in self._views:
            view.step(place, at)

    def finish(self, place: str, at: StackAt, outcome: str) -> None:
        for view in self._views:
            view.finish(place, at, outcome)
