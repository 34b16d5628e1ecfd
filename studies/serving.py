"""MLflow's pages: the server that `gateswap ui` starts, and where the runs of studies are.

- It serves this machine only, and what the workspace has or a team's database. Where a team has a
  server, that one has the pages.
- What the database is called goes to the server by its environment: a command line shows passwords
  to everyone on the machine.
"""

import os
import socket
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing

from activations.errors import InputError
from studies.browsing import VIEW
from studies.databases import check_mlflow_file, explained
from studies.reaching import bounded, quiet_mlflow, reach
from studies.storages import Storage, storage_of
from studies.workspace import Workspace


def server_command(workspace: Workspace, port: int) -> tuple[list[str], dict[str, str]]:
    """The command line and environment that serve a workspace's runs on 127.0.0.1.

    Raises InputError where nothing was mirrored yet, or the port is taken, or a team's server has
    the pages already. Whether a database answers, `addresses` finds out.
    """
    storage = storage_of(workspace, "MLflow")
    if storage.served:
        raise InputError(f"{storage.shown} serves the runs; open it in a browser")
    if storage.file and not storage.file.exists():
        raise InputError(
            f"there are no runs in {storage.file.parent} yet; make some with: gateswap demo "
            "(or name another folder with --workspace)"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                f"port {port} of this machine cannot be used ({error.strerror}); "
                f"choose another: gateswap ui --port {port % 65535 + 1}"
            ) from None
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--artifacts-destination", workspace.mlflow_artifacts.resolve().as_uri()]
    command += ["--workers", "1"]
    options = {
        "MLFLOW_BACKEND_STORE_URI": bounded(storage),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # jobs that MLflow runs for whoever evaluates language models take eight more processes
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    # MLflow formats its own docstrings, which an optimised Python leaves out
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONOPTIMIZE"}
    return command, inherited | options


def addresses(workspace: Workspace, port: int) -> Mapping[str, str]:
    """Of each study that was mirrored, the address of its runs.

    Raises GateswapError where the storage does not answer, or MLflow could not serve it.
    """
    storage = storage_of(workspace, "MLflow")
    names = workspace.study_names()
    found = _in_file(storage) if storage.file else _asked(storage, names)
    host = storage.shown.rstrip("/") if storage.served else f"http://127.0.0.1:{port}"
    view = f"runs?viewStateShareKey={VIEW}&workflowType=machine_learning"
    return {name: f"{host}/#/experiments/{found[name]}/{view}" for name in names if name in found}


def _in_file(storage: Storage) -> dict[str, str]:
    """The experiments of an SQLite file by name; without MLflow, which is slow.

    What MLflow says of a file that it cannot serve is pages long, so it is not asked.
    """
    assert storage.file is not None
    with explained(storage, "STUDY", command="gateswap ui"):
        check_mlflow_file(storage)
    query = "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'"
    place = f"{storage.file.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(place, uri=True)) as database:
            return dict(database.execute(query).fetchall())
    except sqlite3.Error:
        return {}  # an empty file, which MLflow's server will fill


def _asked(storage: Storage, names: list[str]) -> dict[str, str]:
    """The experiments of these names, as a database or a server has them."""
    with explained(storage, "STUDY"):
        reach(storage)
        quiet_mlflow()
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=bounded(storage))
        found = {name: client.get_experiment_by_name(name) for name in names}
    active = {name: each for name, each in found.items() if each is not None}
    return {
        name: str(each.experiment_id)
        for name, each in active.items()
        if each.lifecycle_stage == "active"
    }
