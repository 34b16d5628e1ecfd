"""Step times: every step counted with its own frames, on lengths like the corpus's."""

import dataclasses

import numpy as np
import pytest

from bench.members import Member, Variant
from bench.step_time import FOLD, StepTimes, iemocap_like_lengths, made_up_data, time_steps
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


@pytest.mark.parametrize("mean", [45.0, 91.0])
def test_made_up_lengths_have_the_mean_and_the_limit_asked_for(mean: float) -> None:
    lengths = iemocap_like_lengths(5531, mean=mean)
    assert lengths.mean() == pytest.approx(mean, rel=1e-2)
    assert 1 <= lengths.min() < mean / 3
    assert 3 * mean < lengths.max() <= 500
