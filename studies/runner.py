"""Running a study: plan, train what is missing, keep every member the moment it is finished.

- Whatever happens (Ctrl-C, kill -9, a full disk, an error in one variant), finished members are
  whole files and the same command continues with the rest.
- Only this process writes: result files first, for they are the truth, then the two mirrors, whose
  failures are reported and never stop the training.
"""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from activations.errors import GateswapError, InputError
from activations.files import write_atomically
from activations.kernels.cpu.threads import take_granted_threads
from activations.kernels.precision import at_precision
from bench.training.identity import Origin
from bench.training.train import StackProgress, TrainingSettings
from studies import tuning
from studies.completion import Status, study_status
from studies.execution.devices import check_precision, choose_devices
from studies.execution.engines import Engine, Finished, NamedStack, OneDevice, describe_stack
from studies.execution.interrupts import uninterrupted
from studies.execution.pool import Pool
from studies.frozen import freeze
from studies.growth import Round, grown
from studies.kinds import kinds_here, kinds_of, mixture
from studies.loading import load
from studies.material import Material, corpus_folder, foresee, read_material, training_source
from studies.plan import Plan
from studies.progress import SILENT, Display, TrainingView
from studies.result_files import PlanRecord, ResultFolder
from studies.spec import StudySpec
from studies.tracking import Mirror
from studies.tuned import chosen_settings, known_attempts
from studies.workspace import StudyFolder, Workspace, writable


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What trains. device: auto, cpu, cuda (all GPUs) or cuda:N. precision: ieee, tf32 or bf16."""

    device: str = "auto"
    precision: str = "ieee"


AUTOMATIC = Machine()


@dataclass(frozen=True)
class Outcome:
    """What a run did: numbers of members planned, found finished and trained now."""

    planned: int
    found: int
    trained: int
    diverged: int

    def then(self, later: "Outcome") -> "Outcome":
        """Both, of which the later one planned what this one did and more."""
        trained = self.trained + later.trained
        return Outcome(
            planned=later.planned,
            found=later.planned - trained,
            trained=trained,
            diverged=self.diverged + later.diverged,
        )


def run_study(
    spec: StudySpec,
    workspace: Workspace,
    *,
    machine: Machine = AUTOMATIC,
    mirror: bool = True,
    display: Display = SILENT,
) -> Outcome:
    """Train every member of a study that has no result file.

    mirror: whether MLflow and Optuna learn of it at once; `mirror_study` tells them later.

    Raises InputError for a corpus, device, precision or folder that cannot be used; GateswapError
    after an interruption, or after the other stacks where one failed.
    """
    session = Session(spec, workspace, machine, display, mirror=mirror)
    with alone(session.folder), contextlib.closing(session):
        now = session.round()
        _announce(now.plan, session.folder, session.results, display)
        session.compare(now.plan)
        freeze(spec, session.folder)
        write_atomically(session.folder.spec, spec.as_yaml())
        done = Outcome(planned=0, found=0, trained=0, diverged=0)
        while True:
            now.plan.record.write(session.folder)
            done = done.then(session.train(now.plan))
            before, now = now, session.round()
            if now.said:
                display.say(now.said)
            if now.plan.members.keys() == before.plan.members.keys():
                return done


def foresee_study(
    spec: StudySpec, workspace: Workspace, display: Display = SILENT
) -> tuple[Plan, Status]:
    """The plan of a study and how far it is; nothing is written.

    Raises InputError for a corpus that cannot be used.
    """
    data = foresee(spec, workspace, display)
    folder, chosen = workspace.study(spec.name), None
    weighed = spec.seed_rule is not None or spec.settings == "tuned"
    results = ResultFolder(folder.results).by_hash() if weighed else {}
    if spec.settings == "tuned":
        try:
            chosen = chosen_settings(spec, data, folder, results)
        except InputError as error:
            display.say(f"the settings are not chosen yet: {error}")
    now = grown(spec, data, results, chosen)
    metric = spec.analysis.metric
    return now.plan, study_status(
        spec.name, now.plan.members, folder, rule=spec.seed_rule, metric=metric
    )


def mirror_study(name: str, workspace: Workspace, display: Display = SILENT) -> tuple[int, int]:
    """Draw what MLflow and Optuna lack of a study from its result files.

    Files that cannot be read are passed over and named. Returns the numbers of members and
    attempts that were added. Raises InputError for a study that was never run or tuned here,
    GateswapError where a database cannot be used.
    """
    folder = workspace.study(name)
    attempts = known_attempts(folder)
    spec = load(str(folder.spec), workspace=workspace)
    results = ResultFolder(folder.results)
    members = Mirror(name, workspace).add(results)
    found = results.by_hash(report=display.say)
    return members, tuning.tell(spec, attempts, found, workspace)


class Session:
    """What one process holds while it trains members of a study."""

    def __init__(
        self,
        spec: StudySpec,
        workspace: Workspace,
        machine: Machine,
        display: Display,
        *,
        mirror: bool = True,
    ) -> None:
        self._spec, self._workspace, self._display = spec, workspace, display
        corpus_folder(spec, workspace)  # which has to be said, before any folder is made
        self._devices = choose_devices(machine.device)
        self._precision = check_precision(machine.precision, self._devices)
        self._kinds = kinds_here(self._devices, self._precision)
        self._material: Material | None = None
        self._engine: Engine | None = None
        self._mirror: Mirror | None = None
        self._mirrors = mirror
        self._mirrored = mirror  # until it fails
        self.folder = workspace.study(spec.name)
        self.results = ResultFolder(writable(self.folder.results))

    def material(self) -> Material:
        """The corpus and its folds, read once."""
        if self._material is None:
            self._material = read_material(self._spec, self._workspace, self._display)
        return self._material

    def round(self) -> Round:
        """The plan as far as a rule for seeds has let it grow.

        Its settings are those that tuning chose, where the specification says so.
        """
        data, tuned = self.material().data, self._spec.settings == "tuned"
        known = self.results.by_hash() if self._spec.seed_rule or tuned else {}
        chosen = chosen_settings(self._spec, data, self.folder, known) if tuned else None
        return grown(self._spec, data, known, chosen)

    def train(self, plan: Plan) -> Outcome:
        """Train the members of a plan that have no whole result file."""
        self.results.clean(plan.members, self._display.say)
        finished = self.results.hashes()
        stacks = [[(key, plan.members[key]) for key in stack] for stack in plan.missing(finished)]
        missing = sum(map(len, stacks))
        self._update_mlflow()
        diverged, errors = 0, []
        if stacks:
            with at_precision(self._precision), self._display.training(missing) as view:
                engine = self._prepared(plan)
                kept = _Kept(self.results, self._display, view, self._update_mlflow)
                try:
                    engine.train(stacks, kept)
                except KeyboardInterrupt:
                    raise GateswapError(self._stopped(plan)) from None
            diverged, errors = kept.diverged, kept.errors
        self._update_optuna()
        if errors:
            more = f" ({len(errors) - 1} more stacks failed)" if len(errors) > 1 else ""
            raise GateswapError(f"{errors[0]}{more}. The other members are finished and kept")
        return Outcome(
            planned=len(plan.members),
            found=len(plan.members) - missing,
            trained=missing,
            diverged=diverged,
        )

    def compare(self, plan: Plan) -> None:
        """Say which other results cannot be read; warn where results were computed on another
        device or precision than goes on now.
        """
        self.results.by_hash(besides=plan.members, report=self._display.say)
        found = {key: r for key, r in self.results.by_hash().items() if key in plan.members}
        warning = mixture(plan.spec.name, kinds_of(found.values()), self._kinds)
        if warning and len(found) < len(plan.members):
            self._display.say(f"warning: {warning}")

    def close(self) -> None:
        """End what trains."""
        if self._engine is not None:
            self._engine.close()

    def _prepared(self, plan: Plan) -> Engine:
        """What trains: this process where there is one device, a worker for each of several."""
        if self._engine is None:
            source = training_source(self._spec, self.material(), self._workspace, self._display)
            settings = TrainingSettings(origin=_origin(plan))
            take_granted_threads()
            if len(self._devices) > 1:
                self._engine = Pool(source, settings, self._devices)
            else:
                (device,) = self._devices
                if device.type == "cuda":
                    torch.cuda.set_device(device)  # where kernels are launched
                self._engine = OneDevice(source.build(device), settings)
        return self._engine

    def _stopped(self, plan: Plan) -> str:
        kept = len(self.results.hashes() & set(plan.members))
        return (
            f"stopped. {kept} of {len(plan.members)} members are finished and kept in "
            f"{self.results.path}; the same command continues with the rest"
        )

    def _update_mlflow(self) -> None:
        """Copy finished members to MLflow; a failure there is reported once and stops nothing."""
        if not self._mirrored:
            return
        try:
            if self._mirror is None:
                self._mirror = Mirror(self._spec.name, self._workspace)
            self._mirror.add(self.results)
        except GateswapError as error:
            self._mirrored = False
            self._display.say(f"warning: {error}")

    def _update_optuna(self) -> None:
        """Copy finished trials to Optuna; a failure there is reported and stops nothing."""
        if not self._mirrors:
            return
        try:
            attempts = known_attempts(self.folder)
            tuning.tell(self._spec, attempts, self.results.by_hash(), self._workspace)
        except GateswapError as error:
            self._display.say(f"warning: {error}")


def _origin(plan: Plan) -> Origin:
    conditions = vars(plan.record.conditions)
    return Origin(study=plan.spec.name, code_version=code_version(), **conditions)


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


class _Kept:
    """Keeps what an engine reports: results in files, the rest on the display.

    diverged: how many members did. errors: of the stacks that failed.
    """

    def __init__(
        self,
        results: ResultFolder,
        display: Display,
        view: TrainingView,
        update_mlflow: Callable[[], None],
    ) -> None:
        self.diverged = 0
        self.errors: list[str] = []
        self._results, self._display, self._view = results, display, view
        self._update_mlflow = update_mlflow

    def say(self, text: str) -> None:
        """Print a line."""
        self._display.say(text)

    def progress(self, place: str, stack: NamedStack, progress: StackProgress) -> None:
        """Show how far a stack is."""
        label = describe_stack(stack)
        self._view.step(place, label, progress.step, progress.steps, progress.dev_uar)

    def finished(self, place: str, done: Finished) -> None:
        """Write the results of a stack, all of them, and show them."""
        with uninterrupted():
            for key, result in done.results.items():
                self._results.write(key, result)
        diverged = sum(result.outcome == "diverged" for result in done.results.values())
        self.diverged += diverged
        self.errors += [done.error] if done.error else []
        said = done.error or (f"{diverged} diverged" if diverged else "ok")
        self._view.finish(place, describe_stack(done.stack), len(done.stack), said)
        self._update_mlflow()


@contextlib.contextmanager
def alone(folder: StudyFolder) -> Iterator[None]:
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
