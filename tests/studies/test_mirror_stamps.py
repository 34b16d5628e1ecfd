"""Whether a mirror is complete is known without opening it, and never believed too long."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from studies.mirror_stamps import MirrorStamps
from studies.plan import Plan
from studies.result_files import ResultFolder
from studies.workspace import StudyFolder, Workspace
from tests.studies.conftest import fake_result


@pytest.fixture
def database(workspace: Workspace) -> Path:
    """A database that stands for MLflow's: a stamp does not look into it."""
    workspace.root.mkdir(exist_ok=True)
    with sqlite3.connect(workspace.mlflow_database) as connection:
        connection.execute("create table runs (id)")
    return workspace.mlflow_database


@pytest.fixture
def stamps(finished: StudyFolder, workspace: Workspace, database: Path) -> MirrorStamps:
    found = MirrorStamps(finished, workspace, ResultFolder(finished.results), "1")
    found.keep("MLflow")
    assert found.complete("MLflow")
    return found


def test_a_mirror_that_was_never_stamped_is_not_known_to_be_complete(
    stamps: MirrorStamps, finished: StudyFolder, workspace: Workspace
) -> None:
    assert not stamps.complete("Optuna")
    later = MirrorStamps(finished, workspace, ResultFolder(finished.results), "2")
    assert not later.complete("MLflow")


def _another_result(folder: StudyFolder, plan: Plan) -> None:
    ResultFolder(folder.results).write("0" * 24, fake_result(next(iter(plan.members.values()))))


CHANGES: dict[str, Callable[[StudyFolder, Path, Plan], object]] = {
    "a result was added": lambda folder, _, plan: _another_result(folder, plan),
    "a result was removed": lambda folder, _, plan: (
        ResultFolder(folder.results).file(next(iter(plan.members))).unlink()
    ),
    "the plan is another": lambda folder, _, plan: folder.plan.write_text("{}"),
    "the specification is another": lambda folder, _, plan: folder.spec.write_text("name: x"),
    "something was tuned": lambda folder, _, plan: folder.tuning.write_text("{}"),
    "there is a report now": lambda folder, _, plan: (
        folder.report.mkdir(),
        (folder.report / "index.html").touch(),
    ),
    "somebody wrote into the database": lambda _, file, plan: sqlite3.connect(file).executescript(
        "insert into runs values (1)"
    ),
    "the database was touched": lambda _, file, plan: os.utime(file, ns=(1, 1)),
    "the database was removed": lambda _, file, plan: file.unlink(),
    "a write is in progress": lambda _, file, plan: file.with_name("mlflow.db-journal").touch(),
    "the stamp is torn": lambda folder, _, plan: folder.stamps.write_text('{"MLflow": ["'),
    "the stamp is something else": lambda folder, _, plan: folder.stamps.write_text("[1]"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_stamp_is_worthless_once(
    change: str, stamps: MirrorStamps, finished: StudyFolder, database: Path, plan: Plan
) -> None:
    CHANGES[change](finished, database, plan)
    assert not stamps.complete("MLflow")


def test_what_a_server_has_is_always_asked(finished: StudyFolder, workspace: Workspace) -> None:
    place = Workspace(workspace.root, mlflow_url="http://127.0.0.1:1")
    stamps = MirrorStamps(finished, place, ResultFolder(finished.results), "1")
    stamps.keep("MLflow")
    assert not stamps.complete("MLflow")
    assert not finished.stamps.exists()
