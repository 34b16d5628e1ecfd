"""Settings chosen by a search: nested, each fold's by its own dev set, and the study's to run."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from activations.errors import InputError
from bench.data.members import Hyperparameters, Variant
from bench.training.results import MemberResult
from studies import tuner, tuning
from studies.completion import folder_status
from studies.loading import load
from studies.plan import Data, make_plan
from studies.result_files import ResultFolder
from studies.spec import StudySpec
from studies.tuned import (
    TuningRecord,
    chosen_settings,
    enlarged,
    known_attempts,
    scored,
    search_conditions,
    try_setting,
)
from studies.workspace import StudyFolder, Workspace
from tests.studies.conftest import DATA, MakeResult

GRID = [
    "variants={activation: [tanh, relu]}",
    "search={training.learning_rate: [5e-4, 2e-3, 8e-3], training.clip_norm: [null, 5.0]}",
    "tuning.sampler=grid",
    "settings=tuned",
]
TPE = [
    "variants={activation: [tanh]}",
    "search={training.learning_rate: {low: 1e-3, high: 1e-2, log: true}, "
    "model.dropout: [0.0, 0.1], training.clip_norm: [null, 1.0]}",
    "tuning={trials: 12, batch: 4}",
]


@pytest.fixture
def folder(workspace: Workspace) -> StudyFolder:
    return workspace.study("demo")


def judged(make_result: MakeResult, member: object, dev_uar: float) -> MemberResult:
    """A result whose dev UAR is given."""
    made: MemberResult = make_result(member)
    curves = {**made.curves, "dev_uar": made.curves["dev_uar"] * 0 + dev_uar}
    return replace(made, curves=curves)


def search(
    spec: StudySpec,
    data: Data,
    make_result: MakeResult,
    *,
    rounds: int = 100,
    best: Mapping[str, float] = MappingProxyType({"Ses01": 2e-3, "Ses02": 8e-3}),
) -> tuple[TuningRecord, dict[str, MemberResult]]:
    """A search whose dev UAR falls with the distance from the best learning rate of a fold."""
    record = TuningRecord("demo", search_conditions(spec, data), tuning.budget(spec), False, {})
    results: dict[str, MemberResult] = {}
    for _ in range(rounds):
        more = tuner.proposals(spec, data, record, scored(record.attempts, results))
        if not more:
            return replace(record, complete=True), results
        record = enlarged(record, more)
        for key, member in more.items():
            far = abs(math.log(member.hyper.learning_rate / best[member.fold]))
            results[key] = judged(make_result, member, math.exp(-far))
    return record, results


def test_each_fold_gets_what_its_own_dev_set_chose(
    folder: StudyFolder, make_result: MakeResult, workspace: Workspace
) -> None:
    spec = load("demo", GRID, workspace=workspace)
    record, results = search(spec, DATA, make_result)
    record.write(folder)
    assert TuningRecord.read(folder) == record
    chosen = chosen_settings(spec, DATA, folder, results)
    for variant in spec.variants.variants():
        assert chosen[variant, "Ses01"].learning_rate == 2e-3
        assert chosen[variant, "Ses02"].learning_rate == 8e-3
        assert chosen[variant, "Ses01"].clip_norm == 5.0  # a tie with None: the study's own
    plan = make_plan(spec, DATA, chosen)
    assert {member.seed for member in plan.members.values()} == {0, 1}
    assert not plan.members.keys() & record.members.keys()


def test_no_score_of_another_fold_moves_a_proposal(
    make_result: MakeResult, workspace: Workspace
) -> None:
    spec = load("demo", TPE, workspace=workspace)

    def tried(best: float) -> dict[str, list[Hyperparameters]]:
        record, _ = search(spec, DATA, make_result, best={"Ses01": 2e-3, "Ses02": best})
        return {
            fold: [attempt.hyper for attempt in record.attempts if attempt.fold == fold]
            for fold in DATA.folds
        }

    before, after = tried(1e-3), tried(9e-3)
    assert before["Ses02"] != after["Ses02"]
    assert before["Ses01"] == after["Ses01"]


def test_a_grid_is_tried_cell_by_cell_for_every_variant_and_fold(
    make_result: MakeResult, workspace: Workspace
) -> None:
    spec = load("demo", GRID, workspace=workspace)
    record, _ = search(spec, DATA, make_result, rounds=1)
    assert len(record.members) == 2 * 2 * 6  # variants, folds, cells: all at once
    tried = {(m.variant.label, m.fold, m.hyper.learning_rate, m.hyper.clip_norm)
             for m in record.members.values()}  # fmt: skip
    assert len(tried) == 24
    assert {member.seed for member in record.members.values()} == {1000}


def test_every_fold_gets_the_same_budget_in_batches_that_differ_from_each_other(
    make_result: MakeResult, workspace: Workspace
) -> None:
    spec = load("demo", TPE, workspace=workspace)
    record, _ = search(spec, DATA, make_result)
    for fold in DATA.folds:
        tried = [attempt.hyper for attempt in record.attempts if attempt.fold == fold]
        assert len(tried) == len(set(tried)) == 12
        assert tried[0] == spec.hyperparameters()
        assert {hyper.clip_norm for hyper in tried[1:]} == {None, 1.0}  # None is a choice
    first, _ = search(spec, DATA, make_result, rounds=1)
    assert len(first.members) == 2 * 4  # a batch on each of two folds


def test_a_search_that_was_stopped_proposes_what_it_would_have_proposed(
    make_result: MakeResult, workspace: Workspace
) -> None:
    spec = load("demo", TPE, workspace=workspace)
    whole, results = search(spec, DATA, make_result)
    stopped, _ = search(spec, DATA, make_result, rounds=2)
    assert list(stopped.members) == list(whole.members)[: len(stopped.members)]
    unfinished = dict(list(results.items())[:9])  # one of the second batch, of Ses01
    more = tuner.proposals(spec, DATA, stopped, scored(stopped.attempts, unfinished))
    assert more == {}  # first what was proposed is trained


def test_tuned_settings_are_refused_until_every_variant_was_tuned_as_the_study_is_now(
    folder: StudyFolder, make_result: MakeResult, workspace: Workspace
) -> None:
    spec = load("demo", GRID, workspace=workspace)
    with pytest.raises(InputError, match="was not tuned; first: gateswap tune demo"):
        chosen_settings(spec, DATA, folder, {})
    record, results = search(spec, DATA, make_result)
    record.write(folder)
    more = load("demo", [*GRID, "variants.activation=[tanh, relu, elu]"], workspace=workspace)
    with pytest.raises(InputError, match="0 of 6 are tried for elu · gru on fold Ses01"):
        chosen_settings(more, DATA, folder, results)
    longer = load("demo", [*GRID, "training.steps=300"], workspace=workspace)
    with pytest.raises(InputError, match="was tuned under other conditions"):
        chosen_settings(longer, DATA, folder, results)
    folder.tuning.write_text(folder.tuning.read_text()[:-40])
    with pytest.raises(InputError, match="remove it and run gateswap tune demo again"):
        chosen_settings(spec, DATA, folder, results)


def test_status_counts_a_search_before_and_beside_the_study(
    folder: StudyFolder, make_result: MakeResult, workspace: Workspace
) -> None:
    spec = load("demo", GRID, workspace=workspace)
    record, results = search(spec, DATA, make_result)
    record.write(folder)
    kept = ResultFolder(folder.results)
    for key, result in list(results.items())[:-1]:
        kept.write(key, result)
    status = folder_status(folder)
    assert status.search is not None
    assert (status.members, status.search.members, status.search.finished) == (0, 24, 23)
    assert json.dumps(status.as_dict())
    chosen = chosen_settings(spec, DATA, folder, results)
    plan = make_plan(spec, DATA, chosen)
    plan.record.write(folder)
    folder.spec.write_text(spec.as_yaml())
    status = folder_status(folder)
    assert [trial.setting for trial in status.trials] == [{"settings": "tuned"}] * 2
    assert [trial.members for trial in status.trials] == [4, 4]
    assert len(known_attempts(folder)) == 24 + 4  # cells, and the chosen setting of each fold


def test_seeds_of_the_search_are_one_attempt(make_result: MakeResult, workspace: Workspace) -> None:
    spec = load("demo", [*GRID, "tuning.seeds=[1000, 1001]"], workspace=workspace)
    hyper = Hyperparameters(learning_rate=1e-3)
    members = try_setting(spec, DATA, Variant("tanh"), "Ses01", hyper)
    first, second = members
    record = TuningRecord("demo", "", 1, True, members)
    results = {first: judged(make_result, members[first], 0.4)}
    assert scored(record.attempts, results) == {}
    results[second] = judged(make_result, members[second], 0.8)
    assert list(scored(record.attempts, results).values()) == [pytest.approx(0.6)]
