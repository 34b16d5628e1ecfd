"""MLflow's pages: the server that `gateswap ui` starts, and where the runs of studies are.

- It serves this machine only, and what the workspace has or a team's database. Where a team has a
  server, that one has the pages.
- What the database is called goes to the server by its environment: a command line shows passwords
  to everyone on the machine.
- An address is given when its page opens at once: the server runs, and has answered what the page
  will ask.
"""

import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPException
from urllib.request import ProxyHandler, Request, build_opener

from activations.errors import GateswapError, InputError
from studies.browsing import VIEW, VIEW_FILTER, VIEW_ORDER
from studies.databases import check_mlflow_file, explained
from studies.execution.attended import serve
from studies.reaching import bounded, quiet_mlflow, reach
from studies.storages import Storage, storage_of
from studies.workspace import Workspace


def serve_runs(
    workspace: Workspace, port: int, *, tell: Callable[[str], None], say: Callable[[str], None]
) -> None:
    """Serve a workspace's runs until Ctrl-C, or point to the team's server that has them.

    tell: takes the lines with addresses, say: what is said meanwhile. Raises InputError as
    `server_command`, GateswapError where the storage does not answer or the server ends.
    """
    storage = storage_of(workspace, "MLflow")
    started = None if storage.served else server_command(workspace, port)
    found = experiments(workspace)
    lines = [f"{study}: {page}" for study, page in _pages(storage, found, port).items()]
    if started is None:
        tell("\n".join([*lines, f"MLflow: {storage.shown} (your team's server)"]))
        return

    def begun(alive: Callable[[], bool]) -> None:
        wait_for_pages(port, next(iter(found.values()), ""), alive)
        if alive():
            tell("\n".join([*lines, f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it)"]))

    say("MLflow is starting")
    if serve(*started, begun):
        raise GateswapError("MLflow's server has ended; what it said is above")


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
    # a line for each of a page's fifty requests would carry the addresses off the terminal
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    options = {
        "MLFLOW_BACKEND_STORE_URI": bounded(storage),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # jobs that MLflow runs for whoever evaluates language models take eight more processes
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    # MLflow formats its own docstrings, which an optimised Python leaves out
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONOPTIMIZE"}
    # and warns its own developers
    return command, {"PYTHONWARNINGS": "ignore"} | inherited | options


def experiments(workspace: Workspace) -> dict[str, str]:
    """Of each study that was mirrored, MLflow's number of its experiment.

    Raises GateswapError where the storage does not answer, or MLflow could not serve it.
    """
    storage = storage_of(workspace, "MLflow")
    names = workspace.study_names()
    found = _in_file(storage) if storage.file else _asked(storage, names)
    return {name: found[name] for name in names if name in found}


def addresses(workspace: Workspace, port: int) -> Mapping[str, str]:
    """Of each study that was mirrored, the address of its runs.

    Raises GateswapError where a team's storage does not answer.
    """
    return _pages(storage_of(workspace, "MLflow"), experiments(workspace), port)


def _pages(storage: Storage, found: Mapping[str, str], port: int) -> dict[str, str]:
    """Where an interface shows each of these experiments' runs."""
    host = storage.shown.rstrip("/") if storage.served else f"http://127.0.0.1:{port}"
    view = f"runs?viewStateShareKey={VIEW}&workflowType=machine_learning"
    return {name: f"{host}/#/experiments/{number}/{view}" for name, number in found.items()}


def wait_for_pages(port: int, experiment: str, alive: Callable[[], bool]) -> None:
    """Return once the server on this machine's port answers, and has been asked what a page of an
    experiment's runs asks first.

    A server imports what answers a question when it is asked: 1.6 s, in which the page is empty.
    experiment: its number, "" for none; alive: whether the server runs.
    """
    while alive() and not _answers(port, "/health"):
        time.sleep(0.1)
    for place, question in _first_questions(experiment) if experiment else ():
        _answers(port, place, question)  # another version may not: then its page opens later


def _answers(port: int, place: str, question: Mapping[str, object] | None = None) -> bool:
    """Whether a server of this machine answers, whatever a proxy is for."""
    body = None if question is None else json.dumps(question).encode()
    request = Request(f"http://127.0.0.1:{port}{place}", body, {"Content-Type": "application/json"})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=60):
            return True
    except (OSError, HTTPException):
        return False


def _first_questions(experiment: str) -> Iterator[tuple[str, dict[str, object]]]:
    """What MLflow's page of runs asks before it shows any, by path."""
    asked = f'mlflowGetExperiment(input: {{experimentId: "{experiment}"}})'
    yield "/graphql", {"query": f"query {{ {asked} {{ experiment {{ name }} }} }}"}
    search: dict[str, object] = {"experiment_ids": [experiment], "max_results": 100}
    search |= {"filter": VIEW_FILTER, "order_by": [VIEW_ORDER]}
    yield "/ajax-api/2.0/mlflow/runs/search", search


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
