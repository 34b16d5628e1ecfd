"""The table of what a study gains: its contestants do the same work, and its units fit."""

import numpy as np
import pytest
import torch

from bench.data.members import Hyperparameters, Variant
from bench.speed.gain import CONTESTANTS, main, measure_gain, members_of
from bench.speed.step_time import iemocap_like_data, made_up_data


def test_members_per_minute_follow_from_the_time_of_a_step_and_the_number_of_steps():
    hyper = Hyperparameters(hidden_size=4, dense_size=4, batch_size=4, steps=50)
    gains = measure_gain("tiny", made_up_data(np.full(16, 5)), hyper, stacked=3, rounds=2)
    assert [gain.members for gain in gains] == [3, 1, 3, 1]
    assert [gain.contestant for gain in gains] == [name for name, *_ in CONTESTANTS]
    for gain in gains:
        assert gain.members_per_minute == pytest.approx(60_000 / (gain.milliseconds * 50))
        assert gain.quartiles[0] <= gain.milliseconds <= gain.quartiles[1]
        assert gain.peak_bytes is None
        assert gain.evaluation_ms is None


def test_members_are_spread_over_all_folds_before_a_seed_is_used_again():
    data = iemocap_like_data(50)
    members = members_of(Variant(), data, Hyperparameters(), 12)
    assert [member.fold for member in members[:5]] == list(data.folds)
    assert [member.seed for member in members] == [0] * 5 + [1] * 5 + [2] * 2
    assert len(set(members)) == 12


def test_evaluations_are_timed_of_the_kernel_where_they_are_asked_for():
    hyper = Hyperparameters(hidden_size=4, dense_size=4, batch_size=4, steps=50)
    gains = measure_gain(
        "tiny", iemocap_like_data(40), hyper, stacked=5, rounds=1,
        variant=Variant("relu", direction="bigru"), contestants=[*CONTESTANTS[:2], CONTESTANTS[3]],
        evaluations=2,
    )  # fmt: skip
    assert [gain.members for gain in gains] == [5, 1, 1]
    assert [gain.evaluation_ms is not None for gain in gains] == [True, True, False]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu_its_gains_are_not_measured(capsys):
    with pytest.raises(SystemExit):
        main(["--device", "cuda"])
    assert "use --device cpu" in capsys.readouterr().err


@pytest.mark.gpu
def test_on_a_gpu_gains_tell_their_memory_and_the_reference_is_not_stacked():
    hyper = Hyperparameters(hidden_size=16, dense_size=4, batch_size=4, steps=50)
    data = iemocap_like_data(40, device="cuda")
    gains = measure_gain("tiny", data, hyper, stacked=5, rounds=2, evaluations=1)
    assert [(gain.contestant, gain.members) for gain in gains] == [
        ("kernel", 5),
        ("kernel", 1),
        ("reference", 1),
    ]
    assert all(gain.peak_bytes > 0 and gain.milliseconds > 0 for gain in gains)
