"""What a study will take: from steps that are really trained, and consistent with what it took."""

from dataclasses import replace
from typing import Any

import pytest

from bench.data.members import Member, Variant
from bench.training.rehearsal import Rehearsal, rehearse
from bench.training.train import train_stack
from studies.forecast import forecast
from studies.loading import load
from studies.plan import Plan, make_plan
from studies.terminal.forecasts import print_forecast
from studies.workspace import Workspace
from tests.bench import tiny
from tests.studies.conftest import DATA

FOLDS = ("S0", "S1", "S2")


@pytest.fixture
def small_plan(workspace: Workspace) -> Plan:
    """Five variants of one direction and one of the other, on tiny.data's folds."""
    changes = ["variants.activation=[tanh,relu,elu,swish,arelu]", "variants.direction=gru"]
    spec = load("demo", [*changes, "model.hidden_size=8", "seeds=2"], workspace=workspace)
    return make_plan(spec, replace(DATA, folds=FOLDS))


def test_every_variants_missing_members_are_expected_and_a_few_are_tried(
    small_plan: Plan, capsys: Any
) -> None:
    finished = [key for key, member in small_plan.members.items() if member.seed == 0]
    found = forecast(small_plan, finished, tiny.data(), devices=1)
    assert [each.members for each in found.variants] == [3] * 5
    assert [each.tried for each in found.variants] == [True, False, True, False, True]
    for each in found.variants:
        assert 0 < each.low <= each.seconds <= each.high
        assert each.peak_bytes > 0
    tried = [each for each in found.variants if each.tried]
    assert found.variants[1].low == min(each.low for each in tried)
    assert found.variants[1].high == max(each.high for each in tried)
    low, expected, high = found.seconds
    assert low <= expected <= high
    assert replace(found, devices=2).seconds[1] == pytest.approx(expected / 2)
    print_forecast(found)
    out = capsys.readouterr().out
    assert "15 missing members, by a few steps of 3 variants" in out


def test_each_of_several_sizes_is_tried_and_expected_by_itself(
    workspace: Workspace, capsys: Any
) -> None:
    changes = ["variants.activation=[tanh,relu]", "variants.direction=gru", "seeds=1"]
    changes += ["across.model.hidden_size=[8,64]", "training.learning_rate=0.01"]
    plan = make_plan(load("demo", changes, workspace=workspace), replace(DATA, folds=FOLDS))
    found = forecast(plan, [], tiny.data())
    assert [(each.variant, each.setting, each.members) for each in found.variants] == [
        (f"{name} · gru", {"hidden_size": size}, 3) for size in (8, 64) for name in ("tanh", "relu")
    ]
    assert all(each.tried for each in found.variants)
    small, large = found.variants[0], found.variants[2]
    assert small.peak_bytes < large.peak_bytes
    print_forecast(found)
    out = capsys.readouterr().out
    assert "hidden_size=64" in out
    assert "12 missing members, by a few steps of 4 variants and settings" in out


def test_nothing_is_tried_of_a_finished_study(small_plan: Plan, capsys: Any) -> None:
    found = forecast(small_plan, list(small_plan.members), tiny.data())
    assert found.variants == ()
    print_forecast(found)
    assert capsys.readouterr().out == ""


def test_a_stacks_time_is_its_steps_evaluations_and_setting_up() -> None:
    member = Member(Variant("tanh"), "S0", 0, replace(tiny.SMALL, steps=10, evaluate_every=4))
    rehearsal = Rehearsal(members=2, setup=6.0, steps=(1.0, 2.0, 2.0, 3.0, 4.0), evaluation=0.5)
    # three evaluations, and the quartiles of the steps
    assert rehearsal.seconds(member) == ((7.5 + 20) / 2, (7.5 + 20) / 2, (7.5 + 30) / 2)


def test_a_rehearsal_foresees_what_training_takes() -> None:
    hyper = replace(tiny.SMALL, steps=60, evaluate_every=30, hidden_size=32)
    members = [Member(Variant("tanh"), f"S{k}", k, hyper) for k in range(3)]
    data = tiny.data(120, longest=60)
    train_stack(members[:1], data)
    low, _, high = rehearse(members, data).seconds(members[0])
    took = train_stack(members, data)[0].wall_seconds
    # the machine may be twice as busy a moment later; diagnostics are not in it
    assert low / 4 < took < 6 * high
