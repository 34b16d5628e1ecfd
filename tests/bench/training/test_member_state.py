"""Training that was interrupted goes on to the same bits, in any company."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from activations.errors import InputError
from bench.data.members import Hyperparameters, Member, Variant
from bench.training.member_state import MemberState
from bench.training.results import MemberResult
from bench.training.saved_network import SavedNetwork
from bench.training.train import TrainingSettings, train_stack
from tests.bench import tiny
from tests.bench.training.test_train import assert_same

EVERY_STEP = TrainingSettings(checkpoint_seconds=0.0, keep="best")
STEPS = dataclasses.replace(tiny.SMALL, steps=10, evaluate_every=4, dropout=0.2)
CASES = {
    "iaan": (Variant("arelu"), STEPS),
    "gru": (
        Variant(direction="bigru"),
        dataclasses.replace(STEPS, kind="gru", layers=2, clip_norm=0.5, adam="tensorflow"),
    ),
    "chosen under dropout": (
        Variant("relu"),
        dataclasses.replace(STEPS, select_with_dropout=True, last_batch="drop"),
    ),
}


def stack(variant: Variant, hyper: Hyperparameters) -> list[Member]:
    """Three members; the last one diverges after its first step."""
    wild = dataclasses.replace(hyper, learning_rate=1e30)
    return [Member(variant, f"S{m}", 3 + m, (hyper, hyper, wild)[m]) for m in range(3)]


class Watched:
    """Results and networks of a training, and the states at each of its steps but the last."""

    def __init__(self, members: Sequence[Member], states: Sequence[MemberState] = ()) -> None:
        self.states: dict[int, list[MemberState]] = {}
        self.networks: list[SavedNetwork | None] = []
        self.results: list[MemberResult] = train_stack(
            members,
            tiny.data(),
            EVERY_STEP,
            on_networks=self.networks.extend,
            states=states,
            on_checkpoint=lambda now: self.states.update({now[0].step: now}),
        )


def through_a_file(states: Sequence[MemberState]) -> list[MemberState]:
    return [MemberState.from_bytes(state.to_bytes()) for state in states]


@pytest.mark.parametrize("case", CASES)
def test_a_member_goes_on_to_the_same_bits_with_or_without_its_companions(case: str) -> None:
    members = stack(*CASES[case])
    whole = Watched(members)
    assert list(whole.states) == list(range(1, 10))
    # in the middle of an evaluation's interval, and right after an evaluation
    for step, company in ((3, [0, 1, 2]), (6, [1]), (8, [1, 0])):
        chosen = [members[m] for m in company]
        again = Watched(chosen, through_a_file([whole.states[step][m] for m in company]))
        assert list(again.states) == list(range(step + 1, 10))
        for place, m in enumerate(company):
            assert_same(again.results[place], whole.results[m])
            ours, theirs = again.networks[place], whole.networks[m]
            assert (ours is None) == (theirs is None) == (m == 2)
            if ours is not None and theirs is not None:
                assert ours.step == theirs.step
                for name, weights in theirs.weights.items():
                    np.testing.assert_array_equal(ours.weights[name], weights, err_msg=name)


def test_the_time_before_the_interruption_counts() -> None:
    member = stack(*CASES["iaan"])[:1]
    (state,) = Watched(member).states[5]
    hour = dataclasses.replace(state, seconds=3600.0)
    (result,) = Watched(member, [hour]).results
    assert 3600 < result.wall_seconds < 3660


def test_what_was_computed_elsewhere_begins_anew_and_says_so() -> None:
    members = stack(*CASES["iaan"])[:2]
    whole = Watched(members)
    states = whole.states[5]
    environment = dataclasses.replace(states[0].environment, device="NVIDIA H200")
    for changes, said in (
        ({"environment": environment}, "device NVIDIA H200, not cpu"),
        ({"sources": "0" * 24}, "another version of the code"),
    ):
        elsewhere = [dataclasses.replace(state, **changes) for state in states]  # type: ignore[arg-type]
        with pytest.warns(UserWarning, match=f"begins anew and not at step 5.*{said}"):
            again = Watched(members, elsewhere)
        for ours, theirs in zip(again.results, whole.results, strict=True):
            assert_same(ours, theirs)


def test_states_of_different_steps_cannot_go_on_as_one_stack() -> None:
    members = stack(*CASES["iaan"])[:2]
    states = Watched(members).states
    with pytest.raises(ValueError, match="all at one step"):
        Watched(members, [states[3][0], states[4][1]])
    with pytest.raises(ValueError, match="one state of each member"):
        Watched(members, states[3][:1])


def test_a_torn_checkpoint_is_refused() -> None:
    (state,) = Watched(stack(*CASES["iaan"])[:1]).states[2]
    content = bytearray(state.to_bytes())
    content[-5] ^= 4
    with pytest.raises(InputError, match="damaged"):
        MemberState.from_bytes(bytes(content))
    with pytest.raises(InputError, match="not a whole safetensors file"):
        MemberState.from_bytes(bytes(content[:300]))
