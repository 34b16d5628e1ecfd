"""Running a study: plan, train what is missing, keep every member the moment it is finished.

- Whatever happens (Ctrl-C, kill -9, a full disk, an error in one variant), finished members are
  whole files and the same command continues with the rest.
- Only this process writes: result files first, for they are the truth, then the two mirrors, whose
  failures are reported and never stop the training.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from activations.errors import GateswapError, InputError
from activations.files import alone_in, sweep, write_atomically
from activations.wording import counted
from studies.checkpoint_files import CheckpointFolder
from studies.completion import Status, study_status
from studies.execution.machine import AUTOMATIC, Machine
from studies.frozen import freeze
from studies.growth import Round, grown
from studies.kinds import kinds_of, mixture
from studies.logbook import Logbook
from studies.material import Material, corpus_folder, foresee, read_material
from studies.model_files import ModelFolder, check_disk, without_model
from studies.plan import Plan
from studies.progress import SILENT, Display
from studies.reflecting import Reflection
from studies.result_files import PlanRecord, ResultFolder
from studies.spec import StudySpec
from studies.tuned import chosen_settings
from studies.workspace import StudyFolder, Workspace, writable

if TYPE_CHECKING:  # torch is imported when something is to be trained
    from studies.execution.trainers import Trainers
    from studies.keeping import Callback
    from studies.training_run import TrainingRun


class StudyStoppedError(GateswapError):
    """A study was interrupted; what is finished is kept."""


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
    models: bool = False,
    display: Display = SILENT,
    callbacks: "Sequence[Callback]" = (),
) -> Outcome:
    """Train every member of a study that has no result file.

    mirror: whether MLflow and Optuna learn of it at once; `mirror_study` tells them later. models:
    train those again, too, that have a result and no model file, for the models alone. callbacks:
    each is called with every result that is new, once it is kept.

    Raises InputError for a corpus, device, precision or folder that cannot be used;
    StudyStoppedError after an interruption, GateswapError after the other stacks where one failed.
    What a callback raises ends the run; what is finished is kept.
    """
    session = Session(spec, workspace, machine, display, mirror=mirror, callbacks=callbacks)
    with alone(session.folder), contextlib.closing(session):
        now = session.round()
        again = session.without_model(now.plan, wanted=models)
        _announce(now.plan, session.folder, session.results, session.display)
        session.compare(now.plan)
        freeze(spec, session.folder)
        write_atomically(session.folder.spec, spec.as_yaml())
        done = Outcome(planned=0, found=0, trained=0, diverged=0)
        while True:
            now.plan.record.write(session.folder)
            done = done.then(session.train(now.plan, again))
            again = []
            if spec.seed_rule is None:  # the plan is what it was
                return done
            before, now = now, session.round()
            if now.said:
                session.display.say(now.said)
            if now.plan.members.keys() == before.plan.members.keys():
                return done


@dataclass(frozen=True)
class Foreseen:
    """What a dry run finds: the plan, how far it is, and what it trains on; None: not there yet."""

    plan: Plan
    status: Status
    material: Material | None


def foresee_study(spec: StudySpec, workspace: Workspace, display: Display = SILENT) -> Foreseen:
    """The plan of a study and how far it is; nothing is written.

    Raises InputError for a corpus that cannot be used.
    """
    data, material = foresee(spec, workspace, display)
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
    status = study_status(spec.name, now.plan.members, folder, rule=spec.seed_rule, metric=metric)
    return Foreseen(now.plan, status, material)


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
        callbacks: "Sequence[Callback]" = (),
    ) -> None:
        self._spec, self._workspace = spec, workspace
        corpus_folder(spec, workspace)  # which has to be said, before any folder is made
        self._machine, self._callbacks = machine, callbacks
        if not machine.is_certain:  # what is not here is refused before anything is written
            _ = self._trainers
        self._material: Material | None = None
        self._training: TrainingRun | None = None
        self.folder = workspace.study(spec.name)
        self.results = ResultFolder(writable(self.folder.results))
        self.display = self._display = Logbook(
            display, self.folder.log, gpus=lambda: self._trainers.gpus
        )
        self._reflection = Reflection(spec, workspace, self.results, self._display, wanted=mirror)
        self._models = ModelFolder(self.folder.models)
        self._checkpoints = CheckpointFolder(self.folder.checkpoints)

    @cached_property
    def _trainers(self) -> "Trainers":
        """What trains. Raises InputError for an engine, device or precision that cannot be used."""
        from studies.execution.trainers import Trainers

        return Trainers(self._machine)

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

    def without_model(self, plan: Plan, *, wanted: bool) -> list[str]:
        """The finished members that are to be trained again for their models, where that is wanted;
        where it is not, they are told.

        Raises InputError where it is wanted of a study that keeps none.
        """
        if self._spec.keep == "none":
            if wanted:
                raise InputError("--models makes models, and the study keeps none; add keep=best")
            return []
        self.results.clean(plan.members, self._display.say)
        lacking = without_model(plan.members, self.results, self._models)
        if lacking and not wanted:
            have = counted(len(lacking), "finished member has", "finished members have")
            self._display.say(
                f"{have} no model (trained without keeping any, or "
                "by an earlier version); to train them again for it: "
                f"gateswap run {plan.spec.name} --models"
            )
        return lacking if wanted else []

    def train(self, plan: Plan, again: Collection[str] = ()) -> Outcome:
        """Train the members of a plan that have no whole result file, and those named by `again`
        for their models.
        """
        self.results.clean(plan.members, self._display.say)
        self._models.clean()
        finished = self.results.hashes() - set(again)
        self._checkpoints.clean(finished)
        stacks = [[(key, plan.members[key]) for key in stack] for stack in plan.missing(finished)]
        missing = sum(map(len, stacks))
        to_train = [member for stack in stacks for _, member in stack]
        check_disk(to_train, self._spec, self.folder.root)
        self._reflection.update_mlflow()
        diverged, errors = 0, []
        if stacks:
            try:
                kept = self._training_run().train(plan, self.material, stacks, again)
            except KeyboardInterrupt:
                self._display.write(stopped := self._stopped(plan))
                raise StudyStoppedError(stopped) from None
            diverged, errors = kept.diverged, kept.errors
        self._reflection.update_mlflow(ended=True)
        self._reflection.update_optuna()
        if errors:
            more = f" ({counted(len(errors) - 1, 'more stack')} failed)" if len(errors) > 1 else ""
            raise GateswapError(f"{errors[0]}{more}. The other members are finished and kept")
        return Outcome(
            planned=len(plan.members),
            found=len(plan.members) - missing,
            trained=missing,
            diverged=diverged,
        )

    def compare(self, plan: Plan) -> None:
        """Say which other results cannot be read; warn where results were computed on another
        device or precision than goes on now. Raises InputError for a precision that gains nothing.
        """
        self.results.glances(besides=plan.members, report=self._display.say)
        found = {key: r for key, r in self.results.glances().items() if key in plan.members}
        if len(found) == len(plan.members):
            return
        self._trainers.check_sizes(plan.members.values())
        kinds = self._trainers.kinds
        if kinds is not None and (
            warning := mixture(plan.spec.name, kinds_of(found.values()), kinds)
        ):
            self._display.say(f"warning: {warning}")

    def close(self) -> None:
        """End what trains."""
        if self._training is not None:
            self._training.close()

    def _training_run(self) -> "TrainingRun":
        """What trains, made when something is to be."""
        if self._training is None:
            from studies.training_run import TrainingRun

            self._training = TrainingRun(
                self._trainers,
                self._workspace,
                self._display,
                (self.results, self._models, self._checkpoints),
                self._reflection.update_mlflow,
                self._callbacks,
            )
        return self._training

    def _stopped(self, plan: Plan) -> str:
        kept = len(self.results.hashes() & set(plan.members))
        return (
            f"stopped. {kept} of {len(plan.members)} members are finished and kept in "
            f"{self.results.path}; the same command continues with the rest"
        )


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


@contextlib.contextmanager
def alone(folder: StudyFolder) -> Iterator[None]:
    """Lock a study's folder against a second process; the lock ends with this one.

    Raises GateswapError where another process holds it.
    """
    try:
        with alone_in(folder.root, wait=False):
            sweep(folder.root)
            yield
    except BlockingIOError:
        raise GateswapError(
            f"study {folder.root.name} is being run by another process in this workspace; "
            "wait for it, or give this run another name=… or --workspace"
        ) from None
