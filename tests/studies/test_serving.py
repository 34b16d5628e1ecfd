"""`gateswap ui` before its server starts: a database that it could not show is one line."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from activations.errors import GateswapError
from studies import reaching
from studies.databases import _revisions
from studies.serving import addresses, server_command
from studies.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace whose MLflow has one experiment: the tables that are read, and their version."""
    place = Workspace(tmp_path)
    (tmp_path / "studies" / "demo").mkdir(parents=True)
    (tmp_path / "studies" / "demo" / "spec.yaml").touch()
    with closing(sqlite3.connect(place.mlflow_database)) as connection, connection:
        connection.execute("create table experiments (name, experiment_id, lifecycle_stage)")
        connection.execute("insert into experiments values ('demo', 7, 'active')")
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values (?)", [_revisions()[1]])
        connection.execute("create table more as select randomblob(100000) as content")
    return place


def _version(version: str) -> Callable[[Path], Any]:
    def write(file: Path) -> Any:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("update alembic_version set version_num = ?", [version])
        return nullcontext()

    return write


def _damage(file: Path) -> Any:
    content = bytearray(file.read_bytes())
    content[4096:] = b"A" * (len(content) - 4096)  # the first page, with the schema, is whole
    file.write_bytes(content)
    return nullcontext()


def _replace(file: Path) -> Any:
    file.write_bytes(b"this is no database " * 100)
    return nullcontext()


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        yield


def test_the_installed_mlflow_s_last_revision_is_what_it_writes() -> None:
    from mlflow.store.db.utils import _get_latest_schema_revision

    earlier, latest = _revisions()
    assert latest == _get_latest_schema_revision()  # type: ignore[no-untyped-call]
    assert "451aebb31d03" in earlier  # MLflow's first


def test_of_a_whole_database_the_runs_have_an_address(place: Workspace) -> None:
    (address,) = addresses(place, 5000).values()
    assert address.startswith("http://127.0.0.1:5000/#/experiments/7/runs")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_damage, r"(malformed|damaged).*move the file elsewhere and run: gateswap mirror"),
        (_replace, "file is not a database.*move the file elsewhere and run: gateswap mirror"),
        (_version("451aebb31d03"), "an older version of MLflow made it.*then run: gateswap ui"),
        (_version("f" * 12), "a later version of MLflow made it.*then run: gateswap ui"),
        (_lock, "another program has locked it.*wait for that to end, then run: gateswap ui"),
    ],
)
def test_a_database_that_mlflow_could_not_serve_is_told_with_the_remedy(
    place: Workspace, harm: Callable[[Path], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    impatient: Callable[..., Any] = lambda file, **_: connect(file, timeout=0.1)  # noqa: E731
    with harm(place.mlflow_database):
        monkeypatch.setattr(reaching.sqlite3, "connect", impatient)
        before = place.mlflow_database.read_bytes()
        with pytest.raises(GateswapError, match=said) as raised:
            addresses(place, 5000)
    assert "\n" not in str(raised.value)
    assert place.mlflow_database.read_bytes() == before


def test_the_server_s_python_keeps_the_docstrings_that_mlflow_formats(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    _, environment = server_command(place, 0)
    assert "PYTHONOPTIMIZE" not in environment
