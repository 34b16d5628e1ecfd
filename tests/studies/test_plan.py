"""Plans: a hash changes with whatever determines a result and with nothing else."""

import dataclasses
from typing import Any

import pytest

from bench.data.members import Activation, Hyperparameters, Member, Variant
from bench.data.protocol import Protocol
from studies.loading import load
from studies.plan import Data, Plan, make_plan, member_hash
from studies.result_files import PlanRecord
from studies.workspace import Workspace
from tests.studies.conftest import CORPUS, DATA

MEMBER = Member(Variant("arelu"), "Ses01", 3)


def test_a_member_s_hash_is_the_same_in_every_version_of_this_program() -> None:
    # written down once: a change of this number makes every finished study train again
    member = Member(Variant("tanh"), "Ses01", 3)
    assert member_hash(member, Protocol(), DATA) == "4db6423f36f81cedb075eaf1"


@pytest.mark.parametrize(
    ("member", "protocol", "data"),
    [
        ({"variant": Variant("relu")}, {}, {}),
        ({"variant": Variant("arelu", direction="bigru")}, {}, {}),
        ({"variant": Variant("arelu", reset="hardtanh")}, {}, {}),
        ({"fold": "Ses02"}, {}, {}),
        ({"seed": 4}, {}, {}),
        ({"hyper": Hyperparameters(steps=2999)}, {}, {}),
        ({}, {"context_turns": 7}, {}),
        ({}, {}, {"corpus": dataclasses.replace(CORPUS, fingerprint="0" * 32)}),
        ({}, {}, {"features": "another"}),
    ],
)
def test_whatever_determines_a_result_changes_the_hash(
    member: dict[str, Any], protocol: dict[str, Any], data: dict[str, Any]
) -> None:
    before = member_hash(MEMBER, Protocol(), DATA)
    changed = dataclasses.replace(MEMBER, **member)
    after = member_hash(changed, Protocol(**protocol), dataclasses.replace(DATA, **data))
    assert after != before


def test_what_does_not_determine_a_result_leaves_the_hash() -> None:
    before = member_hash(MEMBER, Protocol(), DATA)
    elsewhere = dataclasses.replace(CORPUS, name="elsewhere")
    renamed = dataclasses.replace(DATA, corpus=elsewhere, folds=("Ses01",))
    assert member_hash(MEMBER, Protocol(selection="oracle"), renamed) == before


def test_a_formula_that_changes_behind_its_name_is_another_member() -> None:
    changed = Variant(Activation("arelu", "max(x, 0)"))
    assert changed != MEMBER.variant
    assert changed.label == MEMBER.variant.label
    other = dataclasses.replace(MEMBER, variant=changed)
    assert member_hash(other, Protocol(), DATA) != member_hash(MEMBER, Protocol(), DATA)


def test_every_member_is_in_one_stack_of_at_most_the_given_size(workspace: Workspace) -> None:
    spec = load("demo", ["seeds=3", "stack.max_members=4"], workspace=workspace)
    plan = make_plan(spec, DATA)
    assert sorted(key for stack in plan.stacks for key in stack) == sorted(plan.members)
    assert {len(stack) for stack in plan.stacks} == {3}  # six members: evenly, not four and two
    for stack in plan.stacks:
        assert len({plan.members[key].stack_group for key in stack}) == 1


def test_missing_stacks_leave_out_what_is_finished(plan: Plan) -> None:
    first, *others = plan.stacks
    assert plan.missing(first[:1]) == (first[1:], *others)
    assert plan.missing(first) == tuple(others)
    assert plan.missing(plan.members.keys()) == ()


def test_a_saved_plan_says_which_members_and_which_data(plan: Plan, workspace: Workspace) -> None:
    folder = workspace.study("demo")
    plan.record.write(folder)
    record = PlanRecord.read(folder)
    assert record.members == plan.members
    assert list(record.members) == list(plan.members)
    assert Data.of(record) == DATA
