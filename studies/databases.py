"""The databases of the mirrors, MLflow's and Optuna's: made whole, shared by turns, explained.

- MLflow makes its database by dozens of migrations, and one that was cut off half way can neither
  be used nor finished. So it is made beside its place and renamed, by one process at a time.
- A mirror can be drawn again, but runs in it may be somebody's own: a database that cannot be
  opened is replaced only where it holds no run, and even then it is only renamed.
- Both products retry and then raise whatever was said; what to do about it is said here.
"""

import contextlib
import re
import shlex
import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from activations.errors import GateswapError
from activations.files import alone_in, atomically, sweep
from studies.reaching import alone_in_postgres, reach, whole
from studies.storages import Storage, sqlite_url
from studies.workspace import Workspace, writable

_REVISION = re.compile(r"^revision *= *['\"](\w+)", re.MULTILINE)
_DOWN = re.compile(r"^down_revision *= *(.+)", re.MULTILINE)
ASIDE = ".unusable"  # what a database without runs is called that could not be opened


@contextlib.contextmanager
def one_at_a_time(workspace: Workspace, storage: Storage, study: str) -> Iterator[None]:
    """Reach a storage, and wait for other processes that write to it, and keep them waiting.

    Those of this workspace; of every one, where it is a file or PostgreSQL. study: whose turn it is
    in PostgreSQL; empty: of all that make tables there. The lock ends with the process. Raises
    whatever says that the storage does not answer.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(alone_in(writable(workspace.root)))
        sweep(workspace.root)
        if storage.file:
            remedy = f"Change {storage.given_by or '--workspace'}"
            folder = writable(storage.file.parent, remedy=remedy)
            if not folder.samefile(workspace.root):
                stack.enter_context(alone_in(folder))
                sweep(folder, storage.file.name)
        reach(storage)
        if storage.scheme == "postgresql":
            stack.enter_context(alone_in_postgres(storage, f"{storage.product} {study}"))
        yield


def make_mlflow_database(storage: Storage, artifacts: Path) -> None:
    """Make MLflow's database unless it is there; whatever interrupts it, it is whole or not there.

    A server makes its own. artifacts: where files of runs go. To be called under `one_at_a_time`.
    """
    place = storage.file
    if place is None or (place.exists() and place.stat().st_size):
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with atomically(place) as beside:
        try:
            SqlAlchemyStore(  # type: ignore[no-untyped-call,unused-ignore]
                sqlite_url(beside), artifacts.resolve().as_uri()
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


def check_mlflow_file(storage: Storage) -> None:
    """Raise what says that MLflow could not serve an SQLite file: it is locked, damaged, or of
    another version; without MLflow, which takes seconds to import. An empty file is none of that.
    """
    assert storage.file is not None
    reach(storage)
    whole(storage.file)
    with contextlib.closing(sqlite3.connect(storage.file, timeout=5)) as connection:
        if "alembic_version" not in _tables(connection):
            return
        rows = connection.execute("select version_num from alembic_version").fetchall()
    earlier, latest = _revisions()
    for (found,) in rows:
        if found != latest and earlier:
            raise RuntimeError(f"out-of-date database schema (found version {found})")


@contextlib.contextmanager
def explained(storage: Storage, study: str, *, command: str = "") -> Iterator[None]:
    """Turn whatever databases, Alembic, MLflow or Optuna raise into words for people.

    command: what to run when the storage can be used again; by default what mirrors the study.
    """
    try:
        yield
    except GateswapError:
        raise
    except Exception as error:
        raise trouble(storage, error, study, command=command) from error


def trouble(storage: Storage, error: Exception, study: str, *, command: str = "") -> GateswapError:
    """What to tell the user of a storage that cannot be used, by what was raised."""
    product = storage.product
    said = " ".join(str(error).partition("(Background on this error")[0].split())
    option = storage.given_by if storage.given_by.startswith("--") else ""
    mirror = f"run: gateswap mirror {study}" + f" {option} {storage.shown}" * bool(option)
    again = f"run: {command}" if command else mirror
    if "database is locked" in said:
        reason, remedy = "another program has locked it", f"wait for that to end, then {again}"
    elif ("out-of-date" in said and _is_earlier(said)) or "storage upgrade" in said:
        reason = f"an older version of {product} made it"
        upgrade = "mlflow db upgrade" if product == "MLflow" else "optuna storage upgrade --storage"
        address = sqlite_url(storage.file) if storage.file else storage.shown
        remedy = f"upgrade it: {upgrade} {shlex.quote(address)}; then {again}"
    elif "out-of-date" in said or "Can't locate revision" in said:
        reason = f"a later version of {product} made it"
        remedy = f"install that version (pip install -U {product.lower()}), then {again}"
    elif isinstance(error, ImportError):
        reason = f"its driver is not installed: {said}"
        drivers = {"MySQLdb": "mysqlclient"}  # that are called otherwise where pip finds them
        driver = drivers.get(error.name or "", error.name or "it")
        driver = "psycopg2-binary" if storage.scheme == "postgresql" else driver
        remedy = f"pip install {driver}, then {again}"
    else:
        reason = f"{type(error).__name__}: {storage.hidden(said)[:300] or 'no reason given'}"
        remedy = f"move the file elsewhere and {mirror}"
        if storage.file is None:
            given = f" (its address is given by {storage.given_by})" * bool(storage.given_by)
            remedy = f"when it answers{given}, {again}"
    return GateswapError(
        f"{product}'s {storage.shown} cannot be used ({storage.hidden(reason)}). "
        f"The results are not affected; {remedy}"
    )


def _is_earlier(said: str) -> bool:
    """Whether the MLflow that is installed knows the revision that its error has found."""
    found = re.search(r"found version (\w+)", said)
    return found is not None and found[1] in _revisions()[0]


def _revisions() -> tuple[set[str], str]:
    """The revisions of the installed MLflow's tables that were followed by another, and the last.

    Read from its migrations, which say what they are and what came before.
    """
    spec = find_spec("mlflow")
    places = (spec.submodule_search_locations if spec else None) or []
    texts = [
        file.read_text("utf-8")
        for place in places
        for file in Path(place, "store", "db_migrations", "versions").glob("*.py")
    ]
    known = {name for text in texts for name in _REVISION.findall(text)}
    earlier = {
        name for text in texts for line in _DOWN.findall(text) for name in known if name in line
    }
    return earlier, max(known - earlier, default="")


def _disconnect(database: Path) -> None:
    """Close MLflow's connections to a file, which would follow it when it is renamed."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = SqlAlchemyStore._engine_map.pop(sqlite_url(database), None)
    if engine is not None:
        engine.dispose()


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("select name from sqlite_master where type = 'table'")
    return {str(name) for (name,) in rows}
