"""The pace of training by a clock of the test's own: arithmetic that can be done by hand."""

import math

import pytest

from studies.pace import WINDOW, Pace
from studies.progress import StackAt


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def at(step: int, steps: int = 100, *, label: str = "tanh", members: int = 5) -> StackAt:
    return StackAt(label, members, step, steps, math.nan, work=10.0 * members * steps)


def test_time_left_follows_from_steps_in_the_middle_of_the_first_stack() -> None:
    clock = Clock()
    pace = Pace(20, 4 * 5000.0, clock)  # four stacks of 5 members, 100 steps of 50 units each
    assert pace.text() == ""
    for step in range(1, 12):
        pace.step("", at(step))
        clock.now += 6.0
    clock.now -= 6.0  # 60 s after the first step's report, 11 steps of 400 are done
    assert pace.share == pytest.approx(11 / 400)
    # 11 steps were done in the time between, in which the first one's is not counted
    assert pace.seconds_left == pytest.approx(389 * 60 / 11)
    assert pace.members_per_minute == pytest.approx(20 * 11 / 400)
    assert pace.text().startswith("33.0 members/h · 35 min left, ends ")


def test_what_an_earlier_run_had_done_is_done_and_earns_no_pace() -> None:
    clock = Clock()
    pace = Pace(5, 5000.0, clock)
    pace.step("", at(91))
    clock.now = 20.0
    pace.step("", at(93))
    assert pace.share == pytest.approx(0.93)
    assert pace.seconds_left == pytest.approx(7 * 20 / 3)


def test_only_the_last_minutes_count() -> None:
    clock = Clock()
    pace = Pace(5, 50.0 * 10_000, clock)
    for step in range(1, 101):  # slow at first: kernels are compiled
        pace.step("", at(step, 10_000))
        clock.now += 60.0
    for step in range(101, 1_400):
        pace.step("", at(step, 10_000))
        clock.now += 1.0
    assert pace.seconds_left == pytest.approx(10_000 - 1_399, rel=2 / WINDOW * 10)


def test_stacks_on_two_devices_add_up_and_stacks_that_end_stay_done() -> None:
    clock = Clock()
    pace = Pace(10, 10_000.0, clock)
    pace.step("cuda:0", at(1))
    pace.step("cuda:1", at(1, label="relu"))
    clock.now = 30.0
    pace.step("cuda:0", at(60))
    pace.step("cuda:1", at(30, label="relu"))
    assert pace.share == pytest.approx(0.45)
    pace.finish("cuda:0", 5, 5000.0)
    assert (pace.finished, pace.share) == (5, pytest.approx(0.65))
    pace.finish("cuda:1", 5, 5000.0)
    assert (pace.finished, pace.share, pace.seconds_left) == (10, 1.0, 0.0)
