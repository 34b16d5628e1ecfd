"""Training told in lines, for a log file or where there is no terminal.

- A line when a stack has ended, and one at least every minute while any trains: whoever looks at a
  log must see that it lives, and when it will have ended.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from activations.wording import counted
from studies.device_use import DeviceUse
from studies.pace import Pace
from studies.progress import StackAt

SECONDS_BETWEEN = 60.0


class TrainingLines:
    """A TrainingView that says lines. say: what takes one."""

    def __init__(self, say: Callable[[str], None], pace: Pace, use: DeviceUse) -> None:
        self._say, self._pace, self._use = say, pace, use
        self._running: dict[str, tuple[StackAt, float]] = {}  # by place, and when it began
        self._last = time.monotonic()

    @contextmanager
    def running(self, between: float = SECONDS_BETWEEN) -> Iterator["TrainingLines"]:
        """While the block runs, a line comes wherever none came for so many seconds."""
        ended = threading.Event()
        thread = threading.Thread(target=self._every, args=(ended, between), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def step(self, place: str, at: StackAt) -> None:
        """A stack is so far."""
        before = self._running.get(place)
        same = before is not None and before[0].label == at.label
        began = before[1] if before is not None and same else time.monotonic()
        self._running[place] = (at, began)
        self._pace.step(place, at)

    def finish(self, place: str, at: StackAt, outcome: str) -> None:
        """A stack has ended."""
        _, began = self._running.pop(place, (at, None))
        self._pace.finish(place, at.members, at.work)
        took = "" if began is None else f"{time.monotonic() - began:.1f} s"
        count = f"{self._pace.finished:>4} of {counted(self._pace.members, 'member')}"
        self._line([count, place, at.label, outcome, took])

    def _every(self, ended: threading.Event, between: float) -> None:
        while not ended.wait(max(0.01, self._last + between - time.monotonic())):
            if time.monotonic() - self._last < between:
                continue
            stacks = [
                " · ".join(filter(None, [place, at.label, where(at)]))
                for place, (at, _) in list(self._running.items())
            ]
            count = f"{self._pace.finished:>4} of {counted(self._pace.members, 'member')}"
            self._line([count, *stacks, self._pace.text(), self._use.text()])

    def _line(self, parts: list[str]) -> None:
        self._last = time.monotonic()
        self._say(" · ".join(filter(None, parts)))


def where(at: StackAt) -> str:
    """`step 400 of 3,000 · dev UAR 45.0`."""
    score = "" if math.isnan(at.dev_uar) else f" · dev UAR {100 * at.dev_uar:.1f}"
    return f"step {at.step:,} of {at.steps:,}{score}"
