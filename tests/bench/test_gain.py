"""The table of what a study gains: its contestants do the same work, and its units fit."""

import numpy as np
import pytest

from bench.gain import CONTESTANTS, measure_gain
from bench.members import Hyperparameters
from bench.step_time import made_up_data


def test_members_per_minute_follow_from_the_time_of_a_step_and_the_number_of_steps():
    hyper = Hyperparameters(hidden_size=4, dense_size=4, batch_size=4, steps=50)
    gains = measure_gain("tiny", made_up_data(np.full(16, 5)), hyper, stacked=3, rounds=2)
    assert [gain.members for gain in gains] == [3, 1, 3, 1]
    assert [gain.contestant for gain in gains] == [name for name, *_ in CONTESTANTS]
    for gain in gains:
        assert gain.members_per_minute == pytest.approx(60_000 / (gain.milliseconds * 50))
        assert gain.quartiles[0] <= gain.milliseconds <= gain.quartiles[1]
