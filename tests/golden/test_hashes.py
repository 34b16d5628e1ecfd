"""A member's hash outlives every version of this program, or finished studies train again."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bench.training.identity import CorpusIdentity
from bench.training.results import MemberResult
from studies.loading import load
from studies.plan import Data, make_plan
from studies.result_files import PlanRecord, read_study
from studies.workspace import StudyFolder, Workspace

HERE = Path(__file__).parent
# a study of 20 members, run before the modules moved into rooms; one of its results is kept
BEFORE = StudyFolder(HERE / "demo_before")
KEPT = "20395d8ee136ebe1e7160a02"
DATA = Data(
    corpus=CorpusIdentity(name="golden", fingerprint="0123456789abcdef" * 2),
    features="0123456789abcdef",
    folds=("Ses01", "Ses02", "Ses03", "Ses04", "Ses05"),
)


@pytest.mark.parametrize("study", ["demo", "paper"])
def test_every_member_of_a_shipped_study_has_the_hash_it_always_had(
    study: str, tmp_path: Path
) -> None:
    plan = make_plan(load(study, workspace=Workspace(tmp_path)), DATA)
    found = {
        f"{trial.variant.activation} {trial.variant.direction}": _digest(trial.hashes)
        for trial in plan.trials
    }
    assert found == json.loads((HERE / "hashes.json").read_text())[study]


def test_study_run_before_is_finished_work_for_today_s_plan(tmp_path: Path) -> None:
    record = PlanRecord.read(BEFORE)
    spec = load(str(BEFORE.spec), workspace=Workspace(tmp_path))
    plan = make_plan(spec, Data.of(record))
    assert plan.members == record.members
    assert list(plan.members) == list(record.members)


def test_result_written_before_is_read_whole() -> None:
    (result,) = read_study(BEFORE)  # of a plan of twenty
    assert result.member == PlanRecord.read(BEFORE).members[KEPT]
    assert (result.outcome, result.selected_step["dev"]) == ("ok", 20)
    assert result.logits["dev"].shape == (len(result.ids), 4)
    assert {"step", "train_loss", "dev_uar"} <= result.curves.keys()
    assert result.diagnostics["gradient_reach"].shape == (3, 2, 51)
    again = MemberResult.from_bytes(result.to_bytes())
    for name, array in result.logits.items():
        np.testing.assert_array_equal(again.logits[name], array)


def _digest(hashes: tuple[str, ...]) -> str:
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]
