"""Regular expressions that come from files, and what they may cost.

- Python's engine tries one way after another to match: `(a+)+b` has more of them for forty letters
  than anybody can wait for, and a study file of somebody else's may ask for that.
- The engine looks for signals while it searches, so a timer of processor time can end it. Only a
  process's main thread hears signals: in another one a search is not ended, but the next one is not
  begun.
"""

import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from activations.errors import InputError

SECONDS = 1.0  # of processor time for all texts together, and for each of them
SECONDS_EACH = 1e-4  # five times what the slowest of ours takes


class _TooLongError(Exception):
    """The time is over."""


class Expression:
    """A compiled expression. where: the field it comes from, for messages."""

    def __init__(self, pattern: re.Pattern[str], where: str) -> None:
        self._pattern = pattern
        self._where = where
        self._left = SECONDS

    @property
    def pattern(self) -> str:
        """Its text."""
        return self._pattern.pattern

    @property
    def names(self) -> set[str]:
        """Its named groups."""
        return set(self._pattern.groupindex)

    def groups(self, text: str) -> Mapping[str, str] | None:
        """The named groups that are not empty, of a text that it matches as a whole; else None.

        Raises InputError where that takes too long.
        """
        self._left += SECONDS_EACH
        began = time.thread_time()
        try:
            with _at_most(max(self._left, SECONDS_EACH)):
                found = self._pattern.fullmatch(text)
            self._left -= time.thread_time() - began
            if self._left < 0:  # what takes less than a tick of the timer never meets it
                raise _TooLongError
        except _TooLongError:
            raise InputError(
                f"{self._where}: {self.pattern!r} takes too long to match {text[:100]!r}; write it "
                "without a repetition within a repetition"
            ) from None
        return _groups(found)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise _TooLongError within after so much processor time, in the main thread."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _groups(found: re.Match[str] | None) -> dict[str, str] | None:
    return None if found is None else {k: v for k, v in found.groupdict().items() if v}


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise _TooLongError
