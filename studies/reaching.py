"""Whether a storage answers, found out within seconds, and taking turns in one that is shared.

- MLflow tries a database ten times before it says that it cannot be opened, and a server seven
  times: minutes in which nothing trains. So it is asked first, with patience of our own.
- A machine that is gone answers nothing, not even a refusal: whatever waits for it in a library
  that knows no timeout (names, TLS) is left behind in a thread.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from activations.errors import GateswapError
from studies.storages import Storage

PATIENCE = 9.0  # seconds until a storage counts as one that does not answer
CONNECT = 4  # seconds for each address of a name
SILENCE = 20  # seconds without a sign of life in the middle of a connection
TURN = 30  # seconds that another machine may keep PostgreSQL's lock
# what libpq takes in a URL: https://www.postgresql.org/docs/current/libpq-connect.html
_LIBPQ = {
    "connect_timeout": str(CONNECT),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": str(1000 * SILENCE),
}
_HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


def reach(storage: Storage) -> None:
    """Ask a storage for a sign of life; a file that is not there yet needs none.

    Raises whatever says that there is none, within ten seconds.
    """
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            _ask(storage)
        except BaseException as error:
            raised.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    if asking.is_alive():
        raise TimeoutError(f"no answer in {PATIENCE:.0f} seconds")
    if raised:
        raise raised[0]


def _ask(storage: Storage) -> None:
    if storage.served:
        import requests

        _bound_http()
        # whatever it answers: it does
        requests.get(f"{storage.url.rstrip('/')}/health", timeout=(CONNECT, CONNECT))
        return
    if storage.file:
        if storage.file.exists():
            with contextlib.closing(sqlite3.connect(storage.file, timeout=5)) as connection:
                connection.execute("select count(*) from sqlite_master").fetchone()
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(bounded(storage), poolclass=sqlalchemy.NullPool)
    with engine.connect():
        pass


def whole(file: Path) -> None:
    """Look at every page of an SQLite file. Raises sqlite3.Error where one is damaged."""
    with contextlib.closing(sqlite3.connect(file, timeout=5)) as connection:
        (said,) = connection.execute("pragma quick_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {said}")


def bounded(storage: Storage) -> str:
    """The URL with timeouts, where its database takes them and it has none of its own, and with
    the driver of PostgreSQL that is installed, where it names none: SQLAlchemy has two by default,
    by its version.
    """
    if storage.scheme not in ("postgresql", "mysql"):
        return storage.url
    from sqlalchemy.engine import make_url

    url = make_url(storage.url)
    if url.drivername == "postgresql":
        driver = "psycopg" if importlib.util.find_spec("psycopg2") is None else "psycopg2"
        url = url.set(drivername=f"postgresql+{driver}")
    ours = _LIBPQ if storage.scheme == "postgresql" else {"connect_timeout": str(CONNECT)}
    missing = {name: value for name, value in ours.items() if name not in url.query}
    return url.update_query_dict(missing).render_as_string(hide_password=False)


@contextlib.contextmanager
def alone_in_postgres(storage: Storage, what: str) -> Iterator[None]:
    """Hold PostgreSQL's advisory lock of a name; it ends with the connection.

    Raises GateswapError where another process, of whatever machine, keeps it too long.
    """
    import sqlalchemy

    key = int.from_bytes(hashlib.sha256(f"gateswap {what}".encode()).digest()[:8], signed=True)
    engine = sqlalchemy.create_engine(
        bounded(storage),
        poolclass=sqlalchemy.NullPool,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,  # a connection that is gone has nothing to roll back
    )
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"set lock_timeout = '{TURN}s'"))
        try:
            connection.execute(sqlalchemy.text(f"select pg_advisory_lock({key})"))
        except sqlalchemy.exc.OperationalError as error:
            if "lock timeout" not in str(error):
                raise
            raise GateswapError(
                f"{storage.product}'s {storage.shown} is being written to by another process for "
                f"more than {TURN} seconds. The results are not affected; gateswap mirror adds them"
            ) from None
        yield


def quiet_mlflow() -> None:
    """Let MLflow tell nobody that it is used, and say less; before it is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name in ("mlflow", "alembic"):  # they announce every table they create
        logging.getLogger(name).setLevel(logging.WARNING)
    # what fails is told in our words, without a traceback
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _bound_http() -> None:
    """Let MLflow's requests end soon, unless the user has said when, and say nothing of retries."""
    for name, value in _HTTP.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
