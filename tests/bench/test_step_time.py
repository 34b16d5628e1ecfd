"""Step times: every step counted with its own frames."""

import dataclasses

import numpy as np

from bench.members import Member, Variant
from bench.step_time import FOLD, StepTimes, made_up_data, time_steps
from tests.bench import tiny


def test_steps_are_timed_with_the_frames_they_walked() -> None:
    data = made_up_data(np.full(12, 4), features=tiny.FEATURES)
    hyper = dataclasses.replace(tiny.SMALL, batch_size=5)
    members = [Member(Variant(), FOLD, seed, hyper) for seed in range(2)]
    times = time_steps(members, data, implementation="reference", warm_up=1, steps=3)
    assert (times.seconds > 0).all()
    # two members, three encoders, five examples, four frames, less the two first ones' contexts
    assert all(96 <= frames <= 120 for frames in times.frames)


def test_time_per_frame_is_the_median_of_the_steps_own_ratios() -> None:
    times = StepTimes(np.array([1.0, 4.0, 30.0]), np.array([1, 2, 3]))
    assert times.per_frame == 2.0
