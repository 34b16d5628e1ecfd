"""MLflow's picture of a study, for browsing: experiment → trial → one run per fold and seed.

- Result files are the truth; this is a mirror that may be deleted and drawn again. So it is keyed
  by the members' hashes: what is there is skipped, what was cut off half way is drawn anew.
- Processes that draw take turns where the storage lets them, and read again what another one drew
  in between, which a mark on the experiment tells.
- What a trial says of its members is written once for all that came together.
"""

import contextlib
import hashlib
import tempfile
import uuid
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from activations.errors import InputError
from activations.wording import counted
from bench.training.results import MemberResult
from studies import browsing
from studies.databases import (
    explained,
    make_mlflow_database,
    one_at_a_time,
    set_aside_without_runs,
)
from studies.logged_use import LONG, logged_use, use_between
from studies.reaching import bounded, quiet_mlflow
from studies.result_files import PlanRecord, ResultFolder
from studies.run_records import (
    MEMBER,
    SCORES,
    TRIAL,
    mean_curves,
    member_record,
    member_scores,
    settings_of,
    summary,
    trial_of,
    trial_record,
)
from studies.run_writing import KnownRun, Writer, writer
from studies.storages import storage_of
from studies.workspace import Workspace

TOGETHER = 50  # members that are written at once
COUNT, CURVED = "gateswap.members", "gateswap.curves"
REPORT = "gateswap.report"  # of the study's run: a digest of the page
SHOWN = (".html", ".json", ".png", ".csv", ".md")  # files of a report that MLflow shows
DRAWN = "gateswap.drawn"  # of an experiment: changes whenever a process begins to draw


class Mirror:
    """The experiment of one study; reads which runs exist, then only adds.

    Raises GateswapError where its storage cannot be used.
    """

    def __init__(self, study: str, workspace: Workspace) -> None:
        self._workspace = workspace
        self._study = study
        self._storage = storage_of(workspace, "MLflow")
        self._members: dict[str, str] = {}  # hash → run
        self._trials: dict[str, str] = {}  # variant and setting → run
        self._scores: dict[str, list[dict[str, float]]] = {}  # trial → its members' scores
        self._curved: set[str] = set()  # trials whose mean curves are drawn
        self._described = False  # by this process
        self._planned: dict[str, list[str]] = {}  # trial → hashes
        self._plan_read = 0  # when the plan that was read was written
        self._mark: str | None = None  # of the experiment, as it was known; None: unread
        self._drawn: str | None = None  # the mark that this call of `add` has made
        with self._explained(), one_at_a_time(workspace, self._storage, ""):
            try:
                self._connect()
            except Exception:
                file = self._storage.file
                if self._storage.given_by or file is None or not set_aside_without_runs(file):
                    raise
                self._connect()

    def add(self, results: ResultFolder) -> int:
        """Draw the members that are not there yet, dated as their files; return how many.

        Result files that cannot be read are passed over. Raises GateswapError where the storage
        cannot be used; what was drawn until then is mended by the next call.
        """
        with self._explained(), one_at_a_time(self._workspace, self._storage, self._study):
            found = self._client.get_experiment(self._experiment).tags.get(DRAWN, "")
            known, self._mark, self._drawn = self._mark, None, None
            if found != known:  # never read, or another process has drawn
                self._read(results)
            new = results.by_hash(besides=self._members)
            self._draw(new, results)
            if not self._described and (one := _any_of(new, results)):
                self._describe(one)
            if len(self._curved) < len(self._trials):
                self._draw_means(results)
            self._mark = self._drawn or found
        return len(new)

    def has(self, members: Collection[str]) -> bool:
        """Whether all of these members, by hash, are drawn."""
        return all(key in self._members for key in members)

    def add_report(self, folder: Path) -> bool:
        """Keep a report's page, figures and tables with a run of the study's own; whether they are
        others than those that are there.

        Raises GateswapError where the storage cannot be used.
        """
        page = folder / "index.html"
        if not page.exists():
            return False
        digest = hashlib.sha256(page.read_bytes()).hexdigest()[:16]
        with self._explained(), one_at_a_time(self._workspace, self._storage, self._study):
            before = self._client.search_runs(
                [self._experiment], f"tags.`{browsing.LEVEL}` = '{browsing.STUDY}'"
            )
            if any(run.data.tags.get(REPORT) == digest for run in before):
                return False
            tags = browsing.report_tags(self._study)
            run = self._client.create_run(
                self._experiment, run_name=f"report of {self._study}", tags=tags
            ).info.run_id
            for file in sorted(folder.rglob("*")):
                if file.suffix in SHOWN:
                    place = file.parent.relative_to(folder).as_posix()
                    self._client.log_artifact(run, str(file), "" if place == "." else place)
            self._client.set_tag(run, REPORT, digest)  # last: it is whole
            self._client.set_terminated(run)
            for old in before:
                self._client.delete_run(old.info.run_id)
        return True

    def add_model(self, key: str, file: Path) -> bool:
        """Keep a member's network as an MLflow model, made by its run; whether it is another one
        than the one that is there.

        Raises GateswapError where the storage cannot be used, or the member was not drawn.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        from studies.mlflow_model import save_mlflow_model  # which imports torch

        with self._explained(), one_at_a_time(self._workspace, self._storage, self._study):
            before = self._client.search_logged_models([self._experiment])
            if any(
                model.tags.get(MEMBER) == key
                for model in before
                if model.status == LoggedModelStatus.READY
            ):
                return False
            run = self._members[key]
            with tempfile.TemporaryDirectory() as folder:
                save_mlflow_model(file, place := Path(folder) / "model")
                model = self._client.create_logged_model(
                    self._experiment, name="best-on-dev", source_run_id=run, tags={MEMBER: key}
                )
                self._client.log_model_artifacts(model.model_id, str(place))
            self._client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
            self._client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])
            for old in before:
                if MEMBER in old.tags:
                    self._client.delete_logged_model(old.model_id)
        return True

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._storage, self._study)

    def _connect(self) -> None:
        quiet_mlflow()
        from mlflow.tracking import MlflowClient

        make_mlflow_database(self._storage, self._workspace.mlflow_artifacts)
        self._client: MlflowClient = MlflowClient(tracking_uri=bounded(self._storage))
        self._experiment = self._open()
        self._runs: Writer = writer(self._client, self._experiment)

    def _open(self) -> str:
        found = self._client.get_experiment_by_name(self._study)
        if found is None:
            place = (self._workspace.mlflow_artifacts / self._study).resolve().as_uri()
            own = None if self._storage.served else place  # a server has its own place for files
            return str(self._client.create_experiment(self._study, artifact_location=own))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _to_write(self) -> Writer:
        """What writes, once others are told that there is something new to read."""
        if self._drawn is None:
            self._drawn = uuid.uuid4().hex
            self._client.set_experiment_tag(self._experiment, DRAWN, self._drawn)
        return self._runs

    def _read(self, results: ResultFolder) -> None:
        """Learn which runs there are, and mend what a process left that was killed in between."""
        self._members, self._trials, self._scores, self._curved = {}, {}, {}, set()
        trials: dict[str, KnownRun] = {}
        children: dict[str, list[KnownRun]] = {}
        ours = results.hashes()
        for run in self._runs.known():
            key = run.tags.get(MEMBER)
            if key is None:
                if TRIAL in run.tags:
                    trials[run.tags[TRIAL]] = run
            elif run.finished and key not in self._members:
                self._members[key] = run.id
                children.setdefault(run.tags[TRIAL], []).append(run)
            elif key in ours or not self._storage.served:
                # its process was killed in the middle, or it was drawn twice; a server keeps
                # nobody waiting, and another workspace's may be being drawn
                self._client.delete_run(run.id)
        for trial, run in trials.items():
            self._mend(trial, run, children.get(trial, []))

    def _mend(self, trial: str, run: KnownRun, members: list[KnownRun]) -> None:
        """Give a trial's run the parameters and the summary that it lacks."""
        from mlflow.entities import Param

        if not run.has_params and not members:
            self._client.delete_run(run.id)
            return
        self._trials[trial] = run.id
        self._scores[trial] = [{name: member.scores[name] for name in SCORES} for member in members]
        if not run.has_params:
            params = self._client.get_run(members[0].id).data.params.items()
            own = [Param(name, value) for name, value in params if name not in ("fold", "seed")]
            self._client.log_batch(run.id, params=own)
        if browsing.LEVEL not in run.tags:  # of an earlier version
            self._client.set_tag(run.id, browsing.LEVEL, "trial")
        if CURVED in run.tags:
            self._curved.add(trial)
        known = run.tags.get(COUNT)
        if members and (known != str(len(members)) or not run.finished):
            self._summarise(trial, max(member.ended for member in members))

    def _draw(self, new: dict[str, MemberResult], results: ResultFolder) -> None:
        """Draw members, their trials first, and what these say of them."""
        ended = {key: _milliseconds(results.file(key)) for key in new}
        began = {key: browsing.started(result, ended[key]) for key, result in new.items()}
        long = any(ended[key] - began[key] >= LONG for key in new)
        used = logged_use(self._workspace.study(self._study).log) if long else []
        trials = {key: trial_of(settings_of(result.member)) for key, result in new.items()}
        ordered = sorted(new, key=ended.__getitem__)
        for keys in _chunks(ordered, TOGETHER):
            first = {trials[key]: key for key in reversed(keys) if trials[key] not in self._trials}
            begun = [
                trial_record(new[key], started=began[key], ended=ended[key])
                for key in first.values()
            ]
            self._trials |= dict(zip(first, self._to_write().create(begun), strict=True))
            records = [
                member_record(
                    key,
                    new[key],
                    self._trials[trials[key]],
                    ended=ended[key],
                    more=use_between(used, began[key], ended[key]),
                )
                for key in keys
            ]
            self._members |= dict(zip(keys, self._runs.create(records), strict=True))
            for key in keys:
                self._scores.setdefault(trials[key], []).append(member_scores(new[key]))
        for trial, last in {trials[key]: ended[key] for key in ordered}.items():
            self._summarise(trial, last)

    def _summarise(self, trial: str, ended: int) -> None:
        """The trial's means over the members there are, and their standard deviations."""
        known = self._scores[trial]
        tags = {COUNT: str(len(known))}
        self._to_write().extend(self._trials[trial], summary(known), tags, ended)

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
        for trial, keys in self._plan().items():
            if trial in self._curved or any(key not in self._members for key in keys):
                continue
            curves = mean_curves([results.read(key) for key in keys])
            tags = {CURVED: f"means over {counted(len(keys), 'member')}"}
            ended = max(_milliseconds(results.file(key)) for key in keys)
            self._to_write().extend(self._trials[trial], curves, tags, ended)
            self._curved.add(trial)

    def _plan(self) -> dict[str, list[str]]:
        """The members that plan.json has of each trial; it is read where it has changed."""
        file = self._workspace.study(self._study).plan
        if not file.exists():
            return {}
        if file.stat().st_mtime_ns != self._plan_read:
            self._plan_read, self._planned = file.stat().st_mtime_ns, {}
            for key, member in PlanRecord.read(self._workspace.study(self._study)).members.items():
                self._planned.setdefault(trial_of(settings_of(member)), []).append(key)
        return self._planned


def _any_of(new: dict[str, MemberResult], results: ResultFolder) -> MemberResult | None:
    """One of the results, without reading them all; None where none can be read."""
    if new:
        return next(iter(new.values()))
    for key in sorted(results.hashes()):
        with contextlib.suppress(InputError):
            return results.read(key)
    return None


def _chunks(keys: list[str], size: int) -> Iterable[list[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


def _milliseconds(file: Path) -> int:
    return round(1000 * file.stat().st_mtime)
