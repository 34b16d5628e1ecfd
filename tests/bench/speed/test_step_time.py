"""Step times: every step counted with its own frames."""

import dataclasses

import numpy as np

from bench.data.members import Member, Variant
from bench.speed.step_time import (
    FOLD,
    SESSIONS,
    StepTimes,
    iemocap_like_data,
    made_up_data,
    time_steps,
)
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


def test_iemocaps_folds_have_its_sessions_sizes_and_share_no_example() -> None:
    data = iemocap_like_data()
    assert len(data.examples) == 5531
    assert [len(fold.test) for fold in data.folds.values()] == list(SESSIONS)
    folds = list(data.folds.values())
    for fold, following in zip(folds, [*folds[1:], folds[0]], strict=True):
        assert (fold.dev == following.test).all()
        together = np.concatenate([fold.train, fold.dev, fold.test])
        assert sorted(together) == list(range(5531))


def test_fewer_examples_are_divided_as_iemocaps_are() -> None:
    data = iemocap_like_data(100)
    assert [len(fold.test) for fold in data.folds.values()] == [19, 19, 20, 19, 23]
