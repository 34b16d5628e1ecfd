"""A registered activation is trained and reported where nobody knows its name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from activations import get, register
from activations.errors import InputError
from studies.loading import load
from studies.plan import make_plan
from studies.result_files import PlanRecord
from studies.workspace import Workspace
from tests.programs import Ended, Program
from tests.studies.conftest import DATA, keep

TEXT = "x*sigmoid(b*x); b=1.25"


def gateswap(workspace: Workspace, *words: str) -> Ended:
    """The command line in a process of its own; a report has one figure."""
    program = (
        "import sys, gateswap; from reports.figures import gallery; "
        "gallery.FIGURES = gallery.FIGURES[:1]; sys.exit(gateswap.main())"
    )
    return Program(program, *words, "--workspace", str(workspace.root)).end(250)


def test_a_study_of_a_registered_activation_is_read_where_it_is_not_registered(
    workspace: Workspace,
) -> None:
    name = "registered_in_this_test"
    register(TEXT, name=name)
    changes = [f"variants.activation=[tanh,{name}]", "variants.direction=gru", f"baseline={name}"]
    spec = load("demo", changes, workspace=workspace)
    plan = make_plan(spec, DATA)
    folder = keep(plan, workspace, len(plan.members))

    done = gateswap(workspace, "report", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((folder.report / "report.json").read_text())
    formulas = {row["activation"]: row["formula"] for row in report["summaries"]}
    assert formulas == {"tanh": "tanh(x)", name: get(name).text}


def test_a_study_names_formulas_of_its_own(workspace: Workspace) -> None:
    changes = [f"formulas={{mine: '{TEXT}'}}", "variants.activation=[tanh,mine]"]
    spec = load("demo", changes, workspace=workspace)
    mine = next(v for v in spec.variants.variants() if v.activation.name == "mine")
    assert mine.activation.formula.initial == (1.25,)
    keep(make_plan(spec, DATA), workspace, 0)
    again = load(str(workspace.study("demo").spec), workspace=workspace)
    assert again == spec
    assert make_plan(again, DATA).members.keys() == make_plan(spec, DATA).members.keys()
    assert PlanRecord.read(workspace.study("demo")).members == make_plan(spec, DATA).members


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("formulas={tanh: x}", "tanh is a shipped activation's name"),
        ("formulas={mine: 'x*('}", "formulas: formula 'x"),
        ('formulas={"a\\e[2J": x*x}', "is no name; take one of 1 to 100 characters"),
        ('formulas={"a\\nb": x*x}', "without line breaks and control characters"),
        (f"formulas={{{'x' * 101}: x*x}}", "is no name; take one of 1 to 100 characters"),
    ],
)
def test_a_formula_that_cannot_be_named_so_is_refused(
    change: str, said: str, workspace: Workspace
) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\\(")):
        load("demo", [change], workspace=workspace)


ENTRY_POINT = """[gateswap.activations]
from_a_package = a_package:FORMULA
"""


def test_an_activation_of_an_installed_package_is_read_where_it_is_not_installed(
    tmp_path: Path, workspace: Workspace
) -> None:
    (tmp_path / "a_package.py").write_text(f'FORMULA = "{TEXT}"')
    about = tmp_path / "a_package-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-package\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRY_POINT)
    code = (
        "import sys; from studies.loading import load; from studies.workspace import Workspace; "
        "from pathlib import Path; from studies.plan import make_plan; "
        "from tests.studies.conftest import DATA, keep; place = Workspace(Path(sys.argv[1])); "
        "spec = load('demo', ['variants.activation=[tanh,from_a_package]'], workspace=place); "
        "keep(make_plan(spec, DATA), place, 0)"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    subprocess.run(
        [sys.executable, "-c", code, str(workspace.root)],
        check=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    spec = load(str(workspace.study("demo").spec), workspace=workspace)
    members = make_plan(spec, DATA).members
    assert PlanRecord.read(workspace.study("demo")).members == members
    texts = {member.variant.activation.text for member in members.values()}
    assert texts == {"tanh(x)", get(TEXT).text}
