"""How fast a study is trained, and when it will have ended: arithmetic on steps that were made.

- A stack may run for hours, so what counts is steps, not stacks. Stacks differ, so steps are
  weighed by what their recurrences multiply (`work`).
- Only what was seen in the last minutes counts: kernels are compiled first, evaluations come in
  lumps, and another program may begin to use the machine.
- What an earlier run had done of a stack is done, and says nothing of the pace.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from studies.progress import StackAt

WINDOW = 600.0  # seconds that the pace is taken from
EARLY = 10.0  # seconds of training before a pace is worth anything
SAMPLE = 1.0  # seconds between two samples


class Pace:
    """The pace of a study's training: members in all, and their work in units of its own.

    clock: seconds that only go on.
    """

    def __init__(self, members: int, work: float, clock: Callable[[], float] | None = None) -> None:
        self.members, self.finished = members, 0
        self._work, self._clock = work, clock or (lambda: time.monotonic())
        self._ended = 0.0  # work of stacks that have ended
        self._running: dict[str, float] = {}  # by place: work done of the stack there
        self._labels: dict[str, str] = {}
        self._given = 0.0  # work that an earlier run had done
        self._samples: deque[tuple[float, float]] = deque()

    def step(self, place: str, at: StackAt) -> None:
        """A stack is so far."""
        done = at.work * at.step / at.steps
        if self._labels.get(place) != at.label:
            self._labels[place] = at.label
            self._given += at.work * (at.step - 1) / at.steps
            if not self._samples:  # the pace begins here
                self._samples.append((self._clock(), 0.0))
        self._running[place] = done
        now = self._clock()
        if now - self._samples[-1][0] >= SAMPLE:
            self._samples.append((now, self.done - self._given))
            while now - self._samples[1][0] > WINDOW:
                self._samples.popleft()

    def finish(self, place: str, members: int, work: float) -> None:
        """A stack has ended."""
        self._running.pop(place, None)
        self._labels.pop(place, None)
        self._ended += work
        self.finished += members

    @property
    def done(self) -> float:
        """Work done."""
        return self._ended + sum(self._running.values())

    @property
    def share(self) -> float:
        """Of the work, what is done: 0 to 1."""
        return min(1.0, self.done / self._work) if self._work else 1.0

    @property
    def members_per_minute(self) -> float | None:
        """Members' worth of work done in a minute; None before it can be told."""
        rate = self._rate()
        return None if rate is None else 60 * rate * self.members / self._work

    @property
    def seconds_left(self) -> float | None:
        """Until all is trained; None before it can be told."""
        rate = self._rate()
        return None if rate is None else max(0.0, self._work - self.done) / rate

    def text(self) -> str:
        """`3.2 members/min · 41 min left, ends 14:32`; "" before it can be told."""
        left, speed = self.seconds_left, self.members_per_minute
        if left is None or speed is None:
            return ""
        pace = f"{speed:.1f} members/min" if speed >= 1 else f"{60 * speed:.1f} members/h"
        return f"{pace} · {_rough(left)} left, ends {_moment(left)}"

    def _rate(self) -> float | None:
        """Work in a second."""
        if not self._samples:
            return None
        (began, before), now = self._samples[0], self._clock()
        earned = self.done - self._given - before
        if now - began < EARLY or earned <= 0:
            return None
        return earned / (now - began)


def _rough(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02} min" if hours else f"{minutes} min"


def _moment(seconds: float) -> str:
    """When that is, with the day where it is another one."""
    now = datetime.now()
    end = now + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%a %d %b %H:%M}"
