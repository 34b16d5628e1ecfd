"""A made-up study is one that the commands take for finished."""

from pathlib import Path

import studies
from reports.made_up_workspace import NAME, write_workspace
from studies.loading import load
from studies.material import foresee
from studies.plan import make_plan
from studies.progress import SILENT
from studies.workspace import Workspace


def test_a_made_up_study_is_finished_and_its_plan_is_that_of_its_corpus(tmp_path: Path) -> None:
    plan = write_workspace(tmp_path / "runs", members=60)  # rounded up to whole seeds
    assert len(plan.members) == 100
    status = studies.status(NAME, workspace=tmp_path / "runs")
    assert (status.members, status.finished, status.unreadable) == (100, 100, ())
    workspace = Workspace(tmp_path / "runs")
    spec = load(NAME, workspace=workspace)
    again = make_plan(spec, foresee(spec, workspace, SILENT)[0])
    assert again.members.keys() == plan.members.keys()
