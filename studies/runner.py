"""Running a study: plan, train what is missing, keep every member the moment it is finished.

- Whatever happens (Ctrl-C, kill -9, a full disk, an error in one variant), finished members are
  whole files and the same command continues with the rest.
- Only this process writes: result files first, for they are the truth, then the two mirrors, whose
  trouble is told and never stops the training.
"""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from activations.errors import GateswapError, InputError
from bench.batches import TrainingData
from bench.training import Progress, TrainingSettings
from studies import tuning
from studies.display import Display, TrainingView
from studies.engines import (
    Finished,
    OnProgress,
    Stack,
    choose_device,
    describe_stack,
    train_here,
)
from studies.loading import load
from studies.material import Material, corpus_folder, foresee, read_material, training_data
from studies.plan import Data, Plan, Trial, make_plan
from studies.results import PlanRecord, ResultFolder, write_atomically
from studies.spec import StudySpec
from studies.status import Status, study_status
from studies.tracking import Mirror
from studies.workspace import StudyFolder, Workspace, writable


@dataclass(frozen=True)
class Outcome:
    """What a run did: numbers of members planned, found finished and trained now."""

    planned: int
    found: int
    trained: int
    diverged: int


def run_study(
    spec: StudySpec, workspace: Workspace, *, device: str = "auto", display: Display
) -> Outcome:
    """Train every member of a study that has no result file.

    device: auto, cpu or cuda. Raises InputError for a corpus, device or folder that cannot be
    used; GateswapError after an interruption, or after the other stacks where one failed.
    """
    session = _Session(spec, workspace, device, display)
    with _alone(session.folder):
        plan = make_plan(spec, session.material().data)
        _announce(plan, session.folder, session.results, display)
        plan.record.write(session.folder)
        write_atomically(session.folder.spec, spec.as_yaml().encode())
        return session.train(plan)


def foresee_study(spec: StudySpec, workspace: Workspace, display: Display) -> tuple[Plan, Status]:
    """The plan of a study and how far it is; nothing is written.

    Raises InputError for a corpus that cannot be used.
    """
    plan = make_plan(spec, foresee(spec, workspace, display))
    folder = workspace.study(spec.name)
    return plan, study_status(spec.name, plan.members, folder)


def tune_study(
    spec: StudySpec, workspace: Workspace, *, trials: int, device: str = "auto", display: Display
) -> dict[str, list[tuple[Trial, float]]]:
    """Bring every variant of a study to `trials` finished trials, the settings proposed by TPE.

    Returns, by the variant's label, its finished trials with their objective, best first.
    Raises as `run_study` does, and InputError where the specification has nothing to search.
    """
    tuning.check_search(spec)
    session = _Session(spec, workspace, device, display)
    with _alone(session.folder):
        while True:
            scored = session.scored_trials()
            proposals = []
            for variant in spec.variants.variants():
                own = {trial: value for trial, value in scored.items() if trial.variant == variant}
                hyper = tuning.propose(spec, variant, own) if len(own) < trials else None
                if hyper is not None:
                    proposals.append((variant, hyper))
            if not proposals:
                break
            session.train(make_plan(spec, session.material().data, proposals))
    best: dict[str, list[tuple[Trial, float]]] = {}
    for trial, value in sorted(scored.items(), key=lambda item: -item[1]):
        best.setdefault(trial.variant.label, []).append((trial, value))
    return best


def mirror_study(name: str, workspace: Workspace) -> tuple[int, int]:
    """Draw what MLflow and Optuna lack of a study from its result files.

    Returns the numbers of members and trials that were added. Raises InputError for a study that
    was never run here, GateswapError where a database cannot be used.
    """
    folder = workspace.study(name)
    record = PlanRecord.read(folder)
    spec = load(str(folder.spec), workspace=workspace)
    results = ResultFolder(folder.results)
    members = Mirror(name, workspace).add(results)
    found = results.by_hash()
    trials = tuning.finished_trials(spec, Data.of(record), found)
    return members, tuning.tell(spec, trials, found, workspace)


class _Session:
    """What one process holds while it trains members of a study."""

    def __init__(
        self, spec: StudySpec, workspace: Workspace, device: str, display: Display
    ) -> None:
        self._spec, self._workspace, self._display = spec, workspace, display
        corpus_folder(spec, workspace)  # which has to be said, before any folder is made
        self._device = choose_device(device)
        self._material: Material | None = None
        self._training: TrainingData | None = None
        self._mirror: Mirror | None = None
        self._mirrored = True  # until it fails
        self.folder = workspace.study(spec.name)
        self.results = ResultFolder(writable(self.folder.results))

    def material(self) -> Material:
        """The corpus and its folds, read once."""
        if self._material is None:
            self._material = read_material(self._spec, self._workspace, self._display)
        return self._material

    def scored_trials(self) -> dict[Trial, float]:
        """The finished trials of the study, planned or tuned, with their objective."""
        results = self.results.by_hash()
        trials = tuning.finished_trials(self._spec, self.material().data, results)
        return {t: tuning.objective(results[key] for key in t.hashes) for t in trials}

    def train(self, plan: Plan) -> Outcome:
        """Train the members of a plan that have no whole result file."""
        self.results.clean(self._display.say)
        finished = self.results.hashes()
        stacks = [[(key, plan.members[key]) for key in stack] for stack in plan.missing(finished)]
        missing = sum(map(len, stacks))
        self._reflect()
        diverged, errors = 0, []
        if stacks:
            data = self._data()
            settings = TrainingSettings(identity=self._identity(plan))
            with self._display.training(missing) as view:
                try:
                    for done in train_here(stacks, data, settings, _watch(view)):
                        diverged += self._keep(done, view)
                        errors += [done.error] if done.error else []
                        self._reflect()
                except KeyboardInterrupt:
                    raise GateswapError(self._stopped(plan)) from None
        self._tell()
        if errors:
            more = f" ({len(errors) - 1} more stacks failed)" if len(errors) > 1 else ""
            raise GateswapError(f"{errors[0]}{more}. The other members are finished and kept")
        return Outcome(
            planned=len(plan.members),
            found=len(plan.members) - missing,
            trained=missing,
            diverged=diverged,
        )

    def _keep(self, done: Finished, view: TrainingView) -> int:
        """Write the results of a stack; return how many of its members diverged."""
        for key, result in done.results.items():
            self.results.write(key, result)
        diverged = sum(result.outcome == "diverged" for result in done.results.values())
        said = done.error or (f"{diverged} diverged" if diverged else "ok")
        view.finish(len(done.stack), said)
        return diverged

    def _data(self) -> TrainingData:
        if self._training is None:
            self._training = training_data(
                self._spec, self.material(), self._workspace, self._display, self._device
            )
        return self._training

    def _identity(self, plan: Plan) -> dict[str, Any]:
        return {"study": plan.spec.name, "code_version": code_version(), **plan.record.context}

    def _stopped(self, plan: Plan) -> str:
        kept = len(self.results.hashes() & set(plan.members))
        return (
            f"stopped. {kept} of {len(plan.members)} members are finished and kept in "
            f"{self.results.path}; the same command continues with the rest"
        )

    def _reflect(self) -> None:
        """Show in MLflow what is finished; trouble there is told once and stops nothing."""
        if not self._mirrored:
            return
        try:
            if self._mirror is None:
                self._mirror = Mirror(self._spec.name, self._workspace)
            self._mirror.add(self.results)
        except GateswapError as error:
            self._mirrored = False
            self._display.say(f"warning: {error}")

    def _tell(self) -> None:
        """Tell Optuna the finished trials; trouble there is told and stops nothing."""
        results = self.results.by_hash()
        trials = tuning.finished_trials(self._spec, self.material().data, results)
        try:
            tuning.tell(self._spec, trials, results, self._workspace)
        except GateswapError as error:
            self._display.say(f"warning: {error}")


def code_version() -> str:
    """The version, with the commit where this is a git checkout ("-dirty" if files differ)."""
    version = metadata.version("gateswap")
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version} ({commit.stdout.strip()})"


def _announce(plan: Plan, folder: StudyFolder, results: ResultFolder, display: Display) -> None:
    """Say what a run finds: finished members, and a specification that has changed."""
    finished = results.hashes() & set(plan.members)
    if folder.plan.exists():
        with contextlib.suppress(InputError):  # a torn record is written anew
            before = set(PlanRecord.read(folder).members)
            if before != set(plan.members):
                display.say(
                    f"the specification of {plan.spec.name} has changed: "
                    f"{len(before & set(plan.members))} of its {len(plan.members)} members are as "
                    "before, the others are new; results of earlier members stay in "
                    f"{results.path} and leave the report"
                )
    if finished:
        display.say(f"{len(finished)} of {len(plan.members)} members are finished already")


def _watch(view: TrainingView) -> OnProgress:
    """Show each stack's progress: its start with its first step, then every step."""
    shown: list[Stack] = []

    def on_progress(stack: Stack, progress: Progress) -> None:
        if not shown or shown[-1] is not stack:
            shown.append(stack)
            view.start(describe_stack(stack), progress.steps)
        view.step(progress.step, progress.dev_uar)

    return on_progress


@contextlib.contextmanager
def _alone(folder: StudyFolder) -> Iterator[None]:
    """Lock a study's folder against a second process; the lock ends with this one.

    Raises GateswapError where another process holds it.
    """
    handle = os.open(folder.root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GateswapError(
                f"study {folder.root.name} is being run by another process in this workspace; "
                "wait for it, or give this run another name=… or --workspace"
            ) from None
        yield
    finally:
        os.close(handle)
