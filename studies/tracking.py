"""MLflow's picture of a study, for browsing: experiment → trial → one run per fold and seed.

- Result files are the truth; this is a mirror that may be deleted and drawn again. So it is keyed
  by the members' hashes: what is there is skipped, what was cut off half way is drawn anew.
- Processes that draw take turns, and read again what another one drew in between.
- Each call of MLflow is a transaction of some ten milliseconds on SQLite, so a member takes four:
  create, one batch, one artifact, finish. Its fluent interface would take one for every number.
"""

import csv
import io
import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activations.errors import InputError
from bench.escapes import csv_cell
from bench.training import metrics
from bench.training.results import CURVES, SELECTIONS, MemberResult
from studies.databases import (
    count_runs,
    explained,
    make_mlflow_database,
    one_at_a_time,
    set_aside_without_runs,
    uri,
)
from studies.result_files import ResultFolder
from studies.workspace import Workspace

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

METRICS_PER_BATCH = 1000  # MLflow's limit on one call of log_batch
MEMBER, TRIAL, PARENT = "gateswap.member", "gateswap.trial", "mlflow.parentRunId"


class Mirror:
    """The experiment of one study; reads once which runs exist, then only adds.

    Raises GateswapError where the database cannot be used.
    """

    def __init__(self, study: str, workspace: Workspace) -> None:
        self._workspace = workspace
        self._study = study
        self._members: dict[str, str] = {}  # hash → run
        self._trials: dict[str, str] = {}  # variant and setting → run
        self._scores: dict[str, list[dict[str, float]]] = {}  # trial → its members' scores
        self._database = workspace.mlflow_database
        self._runs = -1  # in the experiment, when it was last read or written
        with one_at_a_time(workspace):
            try:
                self._connect()
            except Exception:
                if not set_aside_without_runs(self._database):
                    raise
                self._connect()

    def add(self, results: ResultFolder) -> int:
        """Draw the members that are not there yet, dated as their files; return how many.

        Result files that cannot be read are passed over. Raises GateswapError where the database
        cannot be used.
        """
        with one_at_a_time(self._workspace), self._explained():
            if count_runs(self._database, self._experiment) != self._runs:  # another process's
                self._read()
            new = results.by_hash(besides=self._members)
            for key, result in new.items():
                self._add(key, result, ended=_milliseconds(results.file(key)))
            self._runs = count_runs(self._database, self._experiment)
        return len(new)

    def _explained(self) -> AbstractContextManager[None]:
        return explained("MLflow", self._database, self._study)

    def _connect(self) -> None:
        with self._explained():
            _quiet()
            make_mlflow_database(self._workspace)
            self._client = _client(self._database)
            self._experiment = self._open()
            self._read()

    def _open(self) -> str:
        found = self._client.get_experiment_by_name(self._study)
        if found is None:
            place = (self._workspace.mlflow_artifacts / self._study).resolve().as_uri()
            return str(self._client.create_experiment(self._study, artifact_location=place))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _read(self) -> None:
        """Learn which runs there are, and mend what a process left that was killed in between."""
        self._members, self._trials, self._scores = {}, {}, {}
        trials: dict[str, Run] = {}
        children: dict[str, list[Run]] = {}
        for run in list(self._all_runs()):
            tags = run.data.tags
            if MEMBER not in tags:
                if TRIAL in tags:
                    trials[tags[TRIAL]] = run
            elif run.info.status == "FINISHED" and tags[MEMBER] not in self._members:
                self._members[tags[MEMBER]] = run.info.run_id
                children.setdefault(tags[TRIAL], []).append(run)
            else:  # its process was killed in the middle, or it was drawn twice
                self._client.delete_run(run.info.run_id)
        for trial, run in trials.items():
            self._mend(trial, run, children.get(trial, []))
        self._runs = count_runs(self._database, self._experiment)

    def _all_runs(self) -> "Iterator[Run]":
        token = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _mend(self, trial: str, run: "Run", members: "list[Run]") -> None:
        """Give a trial's run the parameters and the summary that it lacks."""
        from mlflow.entities import Param

        if not run.data.params and not members:
            self._client.delete_run(run.info.run_id)
            return
        self._trials[trial] = run.info.run_id
        self._scores[trial] = [
            {name: member.data.metrics[name] for name in _SCORES} for member in members
        ]
        if not run.data.params:
            params = members[0].data.params.items()
            own = [Param(name, value) for name, value in params if name not in ("fold", "seed")]
            self._client.log_batch(run.info.run_id, params=own)
        known = run.data.metrics.get("members", 0)
        if members and (known != len(members) or run.info.status != "FINISHED"):
            self._summarise(trial, max(member.info.end_time for member in members))

    def _add(self, key: str, result: MemberResult, *, ended: int) -> None:
        from mlflow.entities import Metric, Param

        settings = {**result.variant.names, **result.hyper.as_dict()}
        trial = " ".join(f"{name}={value}" for name, value in settings.items())
        began = ended - round(1000 * result.wall_seconds)
        params = [Param(name, str(value)) for name, value in settings.items()]
        if trial not in self._trials:
            tags = _shared_tags(result) | {TRIAL: trial}
            run = self._client.create_run(
                self._experiment, run_name=result.variant.label, tags=tags, start_time=began
            )
            self._client.log_batch(run.info.run_id, params=params)
            self._trials[trial] = run.info.run_id
        parent = self._trials[trial]
        run_id = self._client.create_run(
            self._experiment,
            run_name=f"{result.variant.label} · {result.fold} · seed {result.seed}",
            tags=_member_tags(result) | {TRIAL: trial, MEMBER: key, PARENT: parent},
            start_time=began,
        ).info.run_id
        scores = member_scores(result)
        numbers = [Metric(name, value, ended, 0) for name, value in scores.items()]
        numbers.append(Metric("wall_seconds", result.wall_seconds, ended, 0))
        numbers += _curves(result, ended)
        params += [Param("fold", result.fold), Param("seed", str(result.seed))]
        for start in range(0, len(numbers), METRICS_PER_BATCH):
            batch = numbers[start : start + METRICS_PER_BATCH]
            self._client.log_batch(run_id, metrics=batch, params=() if start else params)
        self._client.log_text(run_id, confusion_table(result, "dev"), "confusion.csv")
        self._client.set_terminated(run_id, "FINISHED", ended)
        self._members[key] = run_id
        self._scores.setdefault(trial, []).append(scores)
        self._summarise(trial, ended)

    def _summarise(self, trial: str, ended: int) -> None:
        """The trial's means over the members there are, with their number as the step."""
        from mlflow.entities import Metric

        known = self._scores[trial]
        numbers = [
            Metric(name, float(np.mean([entry[name] for entry in known])), ended, len(known))
            for name in _SCORES
        ]
        numbers.append(Metric("members", len(known), ended, len(known)))
        self._client.log_batch(self._trials[trial], metrics=numbers)
        self._client.set_terminated(self._trials[trial], "FINISHED", ended)


def server_command(workspace: Workspace, port: int) -> tuple[list[str], dict[str, str]]:
    """The command line and environment that serve a workspace's runs on 127.0.0.1.

    Raises InputError where nothing was mirrored yet or the port is taken.
    """
    if not workspace.mlflow_database.exists():
        raise InputError(
            f"there are no runs in {workspace.root} yet; make some with: gateswap demo "
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
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri"]
    command += [uri(workspace.mlflow_database), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--artifacts-destination", workspace.mlflow_artifacts.resolve().as_uri()]
    command += ["--workers", "1"]
    # jobs that MLflow runs for whoever evaluates language models take eight more processes
    options = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return command, os.environ | options


def member_scores(result: MemberResult) -> dict[str, float]:
    """UAR and WAR on the test fold, as shares, for each selection: {"test_uar.dev": …}."""
    scores = {}
    for selection in SELECTIONS:
        matrix = result.confusion(selection)
        scores[f"test_uar.{selection}"] = float(metrics.uar_from(matrix))
        scores[f"test_war.{selection}"] = float(metrics.war_from(matrix))
    return scores


def confusion_table(result: MemberResult, selection: str) -> str:
    """The confusion matrix of a selection as CSV: a row per true class, a column per predicted."""
    matrix = result.confusion(selection)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ predicted", *map(csv_cell, result.classes)])
    writer.writerows(
        [csv_cell(name), *row] for name, row in zip(result.classes, matrix.tolist(), strict=True)
    )
    return text.getvalue()


_SCORES = tuple(f"test_{score}.{selection}" for selection in SELECTIONS for score in ("uar", "war"))


def _client(database: Path) -> "MlflowClient":
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri(database))


def _quiet() -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    for name in ("mlflow", "alembic"):  # they announce every table they create
        logging.getLogger(name).setLevel(logging.WARNING)


def _curves(result: MemberResult, ended: int) -> "Iterable[Metric]":
    from mlflow.entities import Metric

    steps = result.curves["step"].astype(int).tolist()
    for name in CURVES[1:]:
        for step, value in zip(steps, result.curves[name].tolist(), strict=True):
            yield Metric(name, value, ended, step)


def _shared_tags(result: MemberResult) -> dict[str, str]:
    identity = result.identity
    corpus = identity.corpus
    return {
        "corpus": f"{corpus.name}{' (synthetic)' if corpus.synthetic else ''}",
        "corpus.fingerprint": corpus.fingerprint,
        "protocol": str(identity.protocol.as_dict()),
        "features": identity.features,
    }


def _member_tags(result: MemberResult) -> dict[str, str]:
    identity = result.identity
    tags = {
        "code_version": identity.code_version,
        "kernel": identity.kernel,
        "device": identity.device,
        "precision": identity.precision,
        "torch": identity.torch,
        "host": identity.host,
    }
    tags |= {"outcome": result.outcome, "stack_members": str(result.stack_members)}
    if result.diverged_at is not None:
        tags["diverged_at"] = str(result.diverged_at)
    return _shared_tags(result) | tags


def _milliseconds(file: Path) -> int:
    return round(1000 * file.stat().st_mtime)
