"""What becomes of what engines report: files, written by this process alone, and words.

- A member's network is written before its result, so that a result that is there has one.
- A member that was trained again for its network keeps the result it had: a result is never
  written over. Whether both say the same is compared and told.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from activations.errors import GateswapError
from bench.training.results import SELECTIONS, MemberResult
from bench.training.train import StackProgress
from studies.checkpoint_files import CheckpointFolder
from studies.execution.engines import Finished, NamedStack, States, describe_stack, work_of
from studies.execution.interrupts import uninterrupted
from studies.model_files import ModelFolder
from studies.progress import Display, StackAt, TrainingView
from studies.result_files import ResultFolder

Callback = Callable[[MemberResult], None]  # called with a member's result once it is kept


class Keeper:
    """Keeps what an engine reports: results and networks in files, the rest on the display.

    again: members that have a result and are trained for their networks. reflect: called when
    results were written. callbacks: called with each of them. diverged: how many members did.
    errors: of the stacks that failed. differing: of the members trained again, those whose
    predictions are not those of their results.
    """

    def __init__(
        self,
        results: ResultFolder,
        models: ModelFolder,
        checkpoints: CheckpointFolder,
        display: Display,
        view: TrainingView,
        reflect: Callable[[], None],
        again: Collection[str] = (),
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.diverged = 0
        self.errors: list[str] = []
        self.differing: list[str] = []
        self._results, self._models, self._checkpoints = results, models, checkpoints
        self._again, self._callbacks, self._refused = set(again), callbacks, False
        self._display, self._view, self._reflect = display, view, reflect

    def say(self, text: str) -> None:
        """Print a line."""
        self._display.say(text)

    def progress(self, place: str, stack: NamedStack, progress: StackProgress) -> None:
        """Show how far a stack is."""
        at = _at(stack, progress)
        self._view.step(place, at)

    def states(self, stack: NamedStack) -> States:
        """Where the members are that a checkpoint was written of."""
        found = {key: self._checkpoints.read(key) for key, _ in stack}
        return {key: state for key, state in found.items() if state is not None}

    def checkpoint(self, _place: str, states: States) -> None:
        """Write where the members of a stack are; a disk that refuses is told once, for training
        can do without.
        """
        try:
            for key, state in states.items():
                self._checkpoints.write(key, state)
        except GateswapError as error:
            self._checkpoints.remove(states)
            if not self._refused:
                reason = str(error).split(". ")[0]
                self._display.say(
                    f"warning: no checkpoint is kept ({reason}); training goes on, and an "
                    "interruption would lose all of its steps"
                )
            self._refused = True

    def finished(self, place: str, done: Finished) -> None:
        """Write the networks and results of a stack, all of them, and show them."""
        with uninterrupted():
            for key, result in done.results.items():
                if key in done.networks:
                    self._models.write(key, done.networks[key])
                if key not in self._again:
                    self._results.write(key, result)
                elif not _same_predictions(result, self._results.read(key)):
                    self.differing.append(key)
            self._checkpoints.remove(done.results)
        diverged = sum(result.outcome == "diverged" for result in done.results.values())
        self.diverged += diverged
        self.errors += [done.error] if done.error else []
        said = done.error or (f"{diverged} diverged" if diverged else "ok")
        self._view.finish(place, _at(done.stack), said)
        self._reflect()
        for callback in self._callbacks:
            for key, result in done.results.items():
                if key not in self._again:
                    callback(result)


def _at(stack: NamedStack, progress: StackProgress | None = None) -> StackAt:
    """A stack as it is shown, so far or when it has ended."""
    steps = stack[0][1].hyper.steps
    return StackAt(
        label=describe_stack(stack),
        members=len(stack),
        step=steps if progress is None else progress.step,
        steps=steps,
        dev_uar=float("nan") if progress is None else progress.dev_uar,
        work=work_of(stack),
    )


def _same_predictions(one: MemberResult, other: MemberResult) -> bool:
    """Whether two results of a member say the same class of every test utterance."""
    said = ((one.predictions(name), other.predictions(name)) for name in SELECTIONS)
    return all(np.array_equal(*both) for both in said)
