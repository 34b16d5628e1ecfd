"""What of a results folder belongs to a study's tuning, and that any engine may search."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import studies
from bench.data.members import Hyperparameters, Member, Variant
from studies import tuning
from studies.plan import Data, Plan, plan_of
from studies.result_files import PlanRecord, ResultFolder
from studies.spec import StudySpec
from studies.workspace import StudyFolder, Workspace
from tests.studies.conftest import CORPUS, DATA, MakeResult
from tests.studies.small_corpus import SMALL, write_corpus


def tried(
    spec: StudySpec, data: Data, settings: list[tuple[Variant, Hyperparameters]]
) -> dict[str, Member]:
    members = [
        Member(variant, fold, seed, hyper)
        for variant, hyper in settings
        for fold in data.folds
        for seed in spec.seeds
    ]
    return dict(plan_of(spec, data, members).members)


def test_results_of_another_corpus_protocol_or_variant_are_no_settings_that_were_tried(
    finished: StudyFolder, plan: Plan, make_result: MakeResult
) -> None:
    results = ResultFolder(finished.results)
    setting = [(Variant("tanh"), replace(plan.spec.hyperparameters(), learning_rate=0.5))]
    foreign: list[tuple[Data, list[tuple[Variant, Hyperparameters]]]] = [
        (replace(DATA, corpus=replace(CORPUS, fingerprint="e" * 32)), setting),
        (replace(DATA, features="f" * 16), setting),
        (DATA, [(Variant("relu"), setting[0][1])]),
    ]
    for data, settings in foreign:
        for key, member in tried(plan.spec, data, settings).items():
            made = make_result(member)
            identity = replace(made.identity, corpus=data.corpus, features=data.features)
            results.write(key, replace(made, identity=identity))
    judged = replace(plan.spec.protocol, dev="dialogues")
    other = plan.spec.model_copy(update={"protocol": judged})
    for key, member in tried(other, DATA, setting).items():
        made = make_result(member)
        results.write(key, replace(made, identity=replace(made.identity, protocol=judged)))
    record = PlanRecord.read(finished)
    assert tuning.tried(record, results) == []
    own = tried(plan.spec, DATA, setting)
    for key, member in own.items():
        results.write(key, make_result(member))
    assert {result.member for result in tuning.tried(record, results)} == set(own.values())


@pytest.mark.services
def test_a_search_on_ray_and_what_it_chose_are_those_of_this_machine(
    tmp_path: Path, cluster: Any
) -> None:
    write_corpus(tmp_path)
    spec = studies.load(
        "demo",
        [
            *SMALL,
            f"corpus={{format: manifest, path: {tmp_path}}}",
            "search={training.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}",
            "tuning={trials: 3, batch: 2, seeds: [1000]}",
            "training.steps=20",
            "settings=tuned",
        ],
    )
    ray = {"engine": "ray", "address": cluster.address, "worker_cpus": 1}
    chosen = [
        studies.tune(spec, workspace=tmp_path / name, device="cpu", **where)
        for name, where in (("here", {}), ("there", ray))
    ]
    assert chosen[0] == chosen[1]
    here, there = (Workspace(tmp_path / name).study("small") for name in ("here", "there"))
    assert here.tuning.read_text() == there.tuning.read_text()
    found = [ResultFolder(folder.results).by_hash() for folder in (here, there)]
    assert found[0].keys() == found[1].keys()
    assert len(found[0]) == 2 * 3 * 3  # activations, folds, settings
    for key, result in found[0].items():
        np.testing.assert_array_equal(result.logits["last"], found[1][key].logits["last"])
    for name, where in (("here", {}), ("there", ray)):
        studies.run(spec, workspace=tmp_path / name, device="cpu", **where)
    plans = [PlanRecord.read(folder).members for folder in (here, there)]
    assert plans[0] == plans[1]
    assert {member.seed for member in plans[0].values()} == {0}
    ran = [ResultFolder(folder.results).by_hash() for folder in (here, there)]
    for key, member in plans[0].items():
        assert member.hyper == chosen[0][member.variant.label][member.fold].hyper
        np.testing.assert_array_equal(ran[0][key].logits["dev"], ran[1][key].logits["dev"])
