"""MLflow's picture of a study, for browsing: experiment → trial → one run per fold and seed.

- Result files are the truth; this is a mirror that may be deleted and drawn again. So it is keyed
  by the members' hashes: what is there is skipped, what was cut off half way is drawn anew.
- Processes that draw take turns, and read again what another one drew in between.
- Each call of MLflow is a transaction of some ten milliseconds on SQLite, so a member takes five:
  create, one batch, data set, one artifact, finish. Its fluent interface would take one for every
  number. What a trial says of its members is written once for all that came together.
"""

import csv
import io
import logging
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activations.errors import InputError
from bench.data.members import Member
from bench.escapes import csv_cell
from bench.training import metrics
from bench.training.results import CURVES, SELECTIONS, MemberResult
from studies import browsing
from studies.databases import (
    count_runs,
    explained,
    make_mlflow_database,
    one_at_a_time,
    set_aside_without_runs,
    uri,
)
from studies.result_files import PlanRecord, ResultFolder
from studies.workspace import Workspace

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

METRICS_PER_BATCH = 1000  # MLflow's limit on one call of log_batch
MEMBER, TRIAL, PARENT = "gateswap.member", "gateswap.trial", "mlflow.parentRunId"
COUNT, CURVED = "gateswap.members", "gateswap.curves"


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
        self._curved: set[str] = set()  # trials whose mean curves are drawn
        self._described = False  # by this process
        self._planned: dict[str, list[str]] = {}  # trial → hashes
        self._plan_read = 0  # when the plan that was read was written
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
            touched: dict[str, int] = {}  # trial → when its last member ended
            for key, result in new.items():
                ended = _milliseconds(results.file(key))
                trial = self._add(key, result, ended=ended)
                touched[trial] = max(ended, touched.get(trial, 0))
            for trial, ended in touched.items():
                self._summarise(trial, ended)
            if not self._described and (known := new or results.by_hash()):
                self._describe(next(iter(known.values())))
            if len(self._curved) < len(self._trials):
                self._draw_means(results)
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
        self._members, self._trials, self._scores, self._curved = {}, {}, {}, set()
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
        if browsing.LEVEL not in run.data.tags:  # of an earlier version
            self._client.set_tag(run.info.run_id, browsing.LEVEL, "trial")
        if CURVED in run.data.tags:
            self._curved.add(trial)
        known = run.data.tags.get(COUNT)
        if members and (known != str(len(members)) or run.info.status != "FINISHED"):
            self._summarise(trial, max(member.info.end_time for member in members))

    def _describe(self, result: MemberResult) -> None:
        """Let the experiment say what it is, where it does not yet."""
        known = self._client.get_experiment(self._experiment).tags
        folder = self._workspace.study(self._study)
        for name, text in browsing.experiment_tags(result, folder).items():
            if known.get(name) != text:
                self._client.set_experiment_tag(self._experiment, name, text)
        self._described = True

    def _draw_means(self, results: ResultFolder) -> None:
        """Give every trial all of whose planned members are drawn their mean curves, once."""
        from mlflow.entities import RunTag

        for trial, keys in self._plan().items():
            if trial in self._curved or any(key not in self._members for key in keys):
                continue
            curves = _mean_curves([results.read(key) for key in keys], _now())
            for start in range(0, len(curves), METRICS_PER_BATCH):
                batch = curves[start : start + METRICS_PER_BATCH]
                self._client.log_batch(self._trials[trial], metrics=batch)
            tags = [RunTag(CURVED, f"means over {len(keys)} members")]
            self._client.log_batch(self._trials[trial], tags=tags)
            self._curved.add(trial)

    def _plan(self) -> dict[str, list[str]]:
        """The members that plan.json has of each trial; it is read where it has changed."""
        file = self._workspace.study(self._study).plan
        if not file.exists():
            return {}
        if file.stat().st_mtime_ns != self._plan_read:
            self._plan_read, self._planned = file.stat().st_mtime_ns, {}
            for key, member in PlanRecord.read(self._workspace.study(self._study)).members.items():
                self._planned.setdefault(_trial_of(_settings(member)), []).append(key)
        return self._planned

    def _add(self, key: str, result: MemberResult, *, ended: int) -> str:
        from mlflow.entities import Metric, Param

        settings = _settings(result.member)
        trial = _trial_of(settings)
        began = browsing.started(result, ended)
        params = [Param(name, str(value)) for name, value in settings.items()]
        if trial not in self._trials:
            tags = _shared_tags(result) | {TRIAL: trial, browsing.LEVEL: "trial"}
            run = self._client.create_run(
                self._experiment, run_name=result.variant.label, tags=tags, start_time=began
            )
            self._client.log_batch(run.info.run_id, params=params)
            self._client.log_inputs(run.info.run_id, [browsing.dataset_of(result)])
            self._trials[trial] = run.info.run_id
        parent = self._trials[trial]
        run_id = self._client.create_run(
            self._experiment,
            run_name=f"{result.variant.label} · {result.fold} · seed {result.seed}",
            tags=_member_tags(result)
            | {TRIAL: trial, MEMBER: key, PARENT: parent, browsing.LEVEL: "member"},
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
        self._client.log_inputs(run_id, [browsing.dataset_of(result, fold=result.fold)])
        self._client.log_text(run_id, confusion_table(result, "dev"), "confusion.csv")
        self._client.set_terminated(run_id, "FINISHED", ended)
        self._members[key] = run_id
        self._scores.setdefault(trial, []).append(scores)
        return trial

    def _summarise(self, trial: str, ended: int) -> None:
        """The trial's means over the members there are, and their standard deviations."""
        from mlflow.entities import Metric, RunTag

        known, now = self._scores[trial], _now()
        numbers = []
        for name in _SCORES:
            values = [entry[name] for entry in known]
            numbers.append(Metric(name, float(np.mean(values)), now, 0))
            if len(values) > 1:
                numbers.append(Metric(f"{name}.std", float(np.std(values, ddof=1)), now, 0))
        tags = [RunTag(COUNT, str(len(known)))]
        self._client.log_batch(self._trials[trial], metrics=numbers, tags=tags)
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


def _mean_curves(results: Sequence[MemberResult], now: int) -> "list[Metric]":
    """Means of members' curves at the steps that all who did not diverge have, and deviations."""
    from mlflow.entities import Metric

    curves = [result.curves for result in results if result.outcome == "ok"]
    common = set.intersection(*(set(own["step"].tolist()) for own in curves)) if curves else set()
    steps = sorted(common)
    numbers = []
    for name in CURVES[1:]:
        rows = [own[name][np.isin(own["step"], steps)] for own in curves]
        for step, values in zip(steps, np.array(rows).T, strict=False):
            numbers.append(Metric(name, float(values.mean()), now, int(step)))
            if len(values) > 1:
                spread = float(values.std(ddof=1))
                numbers.append(Metric(f"{name}.std", spread, now, int(step)))
    return numbers


def _settings(member: Member) -> dict[str, object]:
    """What a trial's members share, by name."""
    return {**member.variant.names, **member.hyper.as_dict()}


def _trial_of(settings: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _now() -> int:
    return round(1000 * time.time())


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
    return _shared_tags(result) | browsing.source_tags(result) | tags


def _milliseconds(file: Path) -> int:
    return round(1000 * file.stat().st_mtime)
