"""The databases of the mirrors, MLflow's and Optuna's: made whole, shared by turns, explained.

- MLflow makes its database by dozens of migrations, and one that was cut off half way can neither
  be used nor finished. So it is made beside its place and renamed, by one process at a time.
- A mirror can be drawn again, but runs in it may be somebody's own: a database that cannot be
  opened is replaced only where it holds no run, and even then it is only renamed.
- Both products retry and then raise whatever SQLite said; what to do about it is said here.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from activations.errors import GateswapError
from activations.files import alone_in, atomically, sweep
from studies.workspace import Workspace, writable

ASIDE = ".unusable"  # what a database without runs is called that could not be opened


@contextlib.contextmanager
def one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """Wait for other processes that write to the mirrors of a workspace, and keep them waiting.

    The lock ends with the process. File systems without locks have none.
    """
    with alone_in(writable(workspace.root)):
        sweep(workspace.root)
        yield


def make_mlflow_database(workspace: Workspace) -> None:
    """Make MLflow's database unless it is there; whatever interrupts it, it is whole or not there.

    To be called under `one_at_a_time`.
    """
    place = workspace.mlflow_database
    if place.exists() and place.stat().st_size:
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with atomically(place) as beside:
        try:
            SqlAlchemyStore(  # type: ignore[no-untyped-call,unused-ignore]
                uri(beside), workspace.mlflow_artifacts.resolve().as_uri()
            )
        finally:
            _disconnect(beside)


def set_aside_without_runs(database: Path) -> bool:
    """Rename a database of MLflow's in which there is no run; whether that was so."""
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=1)) as connection:
            if (
                _tables(connection) >= {"runs"}
                and connection.execute("select 1 from runs limit 1").fetchone()
            ):
                return False
    except sqlite3.Error:  # locked, or no database at all: not ours to move
        return False
    number = 1
    while (new := database.with_name(f"{database.name}{ASIDE}{number}")).exists():
        number += 1
    database.rename(new)
    _disconnect(database)
    return True


def count_runs(database: Path, experiment: str) -> int:
    """How many runs an experiment has, in whatever state; MLflow can only list them."""
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
        query = "select count(*) from runs where experiment_id = ?"
        (number,) = connection.execute(query, [int(experiment)]).fetchone()
    return int(number)


@contextlib.contextmanager
def explained(product: str, database: Path, study: str) -> Iterator[None]:
    """Turn whatever SQLite, Alembic, MLflow or Optuna raise into words for people."""
    try:
        yield
    except GateswapError:
        raise
    except Exception as error:
        raise trouble(product, database, error, study) from error


def trouble(product: str, database: Path, error: Exception, study: str) -> GateswapError:
    """What to tell the user of a database that cannot be used, by what was raised."""
    said = " ".join(str(error).split())
    again = f"run: gateswap mirror {study}"
    if "database is locked" in said:
        reason, remedy = "another program has locked it", f"wait for that to end, then {again}"
    elif ("out-of-date" in said and _is_earlier(said)) or "storage upgrade" in said:
        reason = f"an older version of {product} made it"
        command = "mlflow db upgrade" if product == "MLflow" else "optuna storage upgrade --storage"
        remedy = f"upgrade it: {command} {uri(database)}; then {again}"
    elif "out-of-date" in said or "Can't locate revision" in said:
        reason = f"a later version of {product} made it"
        remedy = f"install that version (pip install -U {product.lower()}), then {again}"
    else:
        reason = f"{type(error).__name__}: {said[:200] or 'no reason given'}"
        remedy = f"move the file elsewhere and {again}"
    return GateswapError(
        f"{product}'s {database} cannot be used ({reason}). The results are not affected; {remedy}"
    )


def _is_earlier(said: str) -> bool:
    """Whether the MLflow that is installed knows the revision that its error has found."""
    from importlib import resources

    found = re.search(r"found version (\w+)", said)
    revisions = resources.files("mlflow.store.db_migrations") / "versions"
    return found is not None and any(
        file.name.startswith(f"{found[1]}_") for file in revisions.iterdir()
    )


def uri(database: Path) -> str:
    """The address of an SQLite file as SQLAlchemy wants it, whatever its folders are called."""
    path = str(database.resolve())
    for character in "%?#":  # % first: the others are written with it
        path = path.replace(character, f"%{ord(character):02X}")
    return f"sqlite:///{path}"


def _disconnect(database: Path) -> None:
    """Close MLflow's connections to a file, which would follow it when it is renamed."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = SqlAlchemyStore._engine_map.pop(uri(database), None)
    if engine is not None:
        engine.dispose()


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("select name from sqlite_master where type = 'table'")
    return {str(name) for (name,) in rows}
