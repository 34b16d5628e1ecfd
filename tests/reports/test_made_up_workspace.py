"""A made-up study is one that the commands take for finished."""

import subprocess
import sys
from pathlib import Path

import pytest

import studies
from activations.errors import InputError
from reports.made_up_workspace import NAME, write_workspace
from studies.loading import load
from studies.material import foresee
from studies.plan import Plan, make_plan
from studies.progress import SILENT
from studies.workspace import Workspace


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A workspace and the plan of its study."""
    folder = tmp_path_factory.mktemp("made-up") / "runs"
    return folder, write_workspace(folder, members=60)  # rounded up to whole seeds


def test_a_made_up_study_is_finished_and_its_plan_is_that_of_its_corpus(
    made_up: tuple[Path, Plan],
) -> None:
    folder, plan = made_up
    assert len(plan.members) == 100
    status = studies.status(NAME, workspace=folder)
    assert (status.members, status.finished, status.unreadable) == (100, 100, ())
    workspace = Workspace(folder)
    spec = load(NAME, workspace=workspace)
    again = make_plan(spec, foresee(spec, workspace, SILENT)[0])
    assert again.members.keys() == plan.members.keys()


# torch takes longer to import than all else of such a run; SymPy and pandas are needed to read
# formulas and corpora, MLflow and Optuna where something is to be told them
FINISHED = """
import sys, gateswap, studies
code = gateswap.main(["status", "made-up", "--workspace", sys.argv[1]])
heavy = {"torch", "sympy", "pandas", "mlflow", "optuna", "matplotlib", "scipy"}
print(code, *sorted(heavy & set(sys.modules)))
found = studies.run("made-up", workspace=sys.argv[1], mirror=False)
print(len(found), *sorted((heavy - {"sympy", "pandas"}) & set(sys.modules)))
"""


def test_what_only_looks_at_a_finished_study_imports_nothing_that_trains(
    made_up: tuple[Path, Plan],
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FINISHED, str(made_up[0])],
        capture_output=True,
        text=True,
        check=True,
    )
    *_, status, run = done.stdout.splitlines()
    assert status == "0"
    assert run == "100"


def test_a_device_that_is_not_there_is_refused_although_nothing_is_to_be_trained(
    made_up: tuple[Path, Plan],
) -> None:
    with pytest.raises(InputError, match="--device takes auto, cpu or cuda"):
        studies.run(NAME, workspace=made_up[0], mirror=False, device="tpu")
