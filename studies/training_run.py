"""What a run does when members are missing: an engine with the study's features trains them.

- This is apart from planning because it imports torch, which takes longer than all else of a run
  that finds nothing to do.
"""

import subprocess
from collections.abc import Callable, Collection, Sequence
from importlib import metadata
from pathlib import Path

from activations.kernels.cpu.ahead import CompiledAhead
from activations.kernels.cpu.threads import take_granted_threads
from activations.kernels.precision import at_precision
from activations.wording import counted
from bench.features.unseen import described
from bench.training.identity import Origin
from bench.training.train import TrainingSettings
from studies.checkpoint_files import CheckpointFolder
from studies.execution.engines import Engine, NamedStack, work_of
from studies.execution.trainers import Trainers
from studies.keeping import Callback, Keeper
from studies.logbook import Logbook
from studies.material import Material, training_source
from studies.model_files import ModelFolder
from studies.plan import Plan
from studies.result_files import ResultFolder
from studies.workspace import Workspace


class TrainingRun:
    """An engine that is made when first needed, and what becomes of its results.

    folders: of results, models and checkpoints. reflect: called when results were written.
    callbacks: called with each of them.
    """

    def __init__(
        self,
        trainers: Trainers,
        workspace: Workspace,
        display: Logbook,
        folders: tuple[ResultFolder, ModelFolder, CheckpointFolder],
        reflect: Callable[[], None],
        callbacks: Sequence[Callback],
    ) -> None:
        self._trainers, self._workspace, self._display = trainers, workspace, display
        self._folders, self._reflect, self._callbacks = folders, reflect, callbacks
        self._engine: Engine | None = None
        self._ahead: CompiledAhead | None = None

    def train(
        self,
        plan: Plan,
        material: Callable[[], Material],
        stacks: Sequence[NamedStack],
        again: Collection[str] = (),
    ) -> Keeper:
        """Train stacks of a plan and return what became of them.

        again: members that have a result and are trained for their networks. Raises
        KeyboardInterrupt after an interruption; what is finished is kept.
        """
        trainers, work = self._trainers, float(sum(map(work_of, stacks)))
        members = sum(map(len, stacks))
        self._display.write(f"training of {counted(members, 'member')} begins on {trainers}")
        with at_precision(trainers.precision), self._display.training(members, work) as view:
            engine = self._prepared(plan, material)
            kept = Keeper(
                *self._folders, self._display, view, self._reflect, again, self._callbacks
            )
            engine.train(stacks, kept)
        self._display.write(
            f"training has ended; {kept.diverged} diverged, "
            f"{counted(len(kept.errors), 'stack')} failed"
        )
        if kept.differing:
            self._display.say(
                f"warning: {len(kept.differing)} of {len(again)} models say another class of "
                "some test utterance than their results, which were computed elsewhere or by "
                "another version; the results stay as they are"
            )
        return kept

    def close(self) -> None:
        """End what trains."""
        if self._ahead is not None:
            self._ahead.close()
        if self._engine is not None:
            self._engine.close()

    def _prepared(self, plan: Plan, material: Callable[[], Material]) -> Engine:
        """What trains, with the study's features."""
        if self._engine is None:
            if self._trainers.compiles_here:  # while features are computed, and the first train
                self._ahead = CompiledAhead(
                    (trial.variant.cell for trial in plan.trials), self._trainers.precision
                )
            spec = plan.spec
            source = training_source(spec, material(), self._workspace, self._display)
            settings = TrainingSettings(
                origin=_origin(plan),
                keep=spec.keep,
                checkpoint_seconds=60 * spec.stack.checkpoint_minutes,
                features=described(spec.features.settings()),
            )
            take_granted_threads()
            self._engine = self._trainers.engine(source, settings)
        return self._engine


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
