"""Keeping the mirrors of a study up to date while it trains, whatever becomes of them.

- A mirror that fails is told once and never stops a training. It is tried again from time to time,
  for services come back; what it missed is then added, for results are the truth.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata

from activations.errors import GateswapError
from bench.training.results import MemberResult
from studies import tuning
from studies.loading import load
from studies.mirror_stamps import MirrorStamps
from studies.model_files import ModelFolder
from studies.plan import Attempt
from studies.progress import SILENT, Display
from studies.result_files import ResultFolder
from studies.spec import StudySpec
from studies.storages import Product
from studies.tracking import Mirror
from studies.tuned import known_attempts, objective
from studies.workspace import Workspace

PAUSE = 300.0  # seconds between attempts at a mirror that failed: each may take ten


class Reflection:
    """MLflow and Optuna of a study that is trained.

    results: the study's, as its run reads and writes them, so that no file is read twice. wanted:
    whether they learn of it at all.
    """

    def __init__(
        self,
        spec: StudySpec,
        workspace: Workspace,
        results: ResultFolder,
        display: Display,
        *,
        wanted: bool,
    ) -> None:
        self._spec, self._workspace, self._display = spec, workspace, display
        self._results = results
        self._wanted = wanted
        self._mirror: Mirror | None = None
        self._failed: dict[Product, float] = {}  # when it failed last
        folder = workspace.study(spec.name)
        self._stamps = MirrorStamps(folder, workspace, results, metadata.version("gateswap"))

    def update_mlflow(self, *, ended: bool = False) -> None:
        """Copy finished members to MLflow. ended: it is tried whatever happened before."""
        self._try("MLflow", self._add_members, ended=ended)

    def update_optuna(self) -> None:
        """Copy finished trials to Optuna."""
        self._try("Optuna", self._add_trials, ended=True)

    def _add_members(self) -> tuple[int, bool]:
        if self._mirror is None:
            self._mirror = Mirror(self._spec.name, self._workspace)
        added = self._mirror.add(self._results)
        return added, self._mirror.has(self._results.hashes())

    def _add_trials(self) -> tuple[int, bool]:
        attempts = known_attempts(self._workspace.study(self._spec.name))
        found = self._results.by_hash()
        told = tuning.tell(self._spec, attempts, found, self._workspace)
        return told, found.keys() == self._results.hashes()

    def _try(self, product: Product, add: Callable[[], tuple[int, bool]], *, ended: bool) -> None:
        """Bring a mirror up to date. add: what does it, and says how much and whether that is all.

        What is stamped as complete is not opened.
        """
        last = self._failed.get(product)
        if not self._wanted or (last and not ended and time.monotonic() - last < PAUSE):
            return
        try:
            if self._stamps.complete(product):
                return
            added, all_there = add()
            if ended and all_there:
                self._stamps.keep(product)
        except GateswapError as error:
            self._mirror = None if product == "MLflow" else self._mirror
            if last is None:
                self._display.say(f"warning: {error}")
            self._failed[product] = time.monotonic()
            return
        if last is not None:
            del self._failed[product]
            self._display.say(f"{product} can be used again, and has what it missed: {added}")


def mirror_study(name: str, workspace: Workspace, display: Display = SILENT) -> tuple[int, int]:
    """Draw what MLflow and Optuna lack of a study from its result files.

    Files that cannot be read are passed over, named and counted. Returns the numbers of members and
    attempts that were added. Raises InputError for a study that was never run or tuned here,
    GateswapError where a storage cannot be used, after the other one was told.
    """
    folder = workspace.study(name)
    attempts = known_attempts(folder)
    spec = load(str(folder.spec), workspace=workspace)
    results = ResultFolder(folder.results)
    found = results.by_hash(report=display.say)
    if passed := len(results.hashes()) - len(found):
        display.say(
            f"warning: {passed} of {passed + len(found)} result files of study {name} are passed "
            "over, as said above; MLflow and Optuna show the others alone"
        )
    try:
        mirror = Mirror(name, workspace)
        members = mirror.add(results)
        if mirror.add_report(folder.report):
            display.say(f"MLflow has the report of {name}, as files of a run")
        models = ModelFolder(folder.models)
        best = _best(attempts, found, models)
        if best and mirror.add_model(best, models.file(best)):
            display.say(f"MLflow has the model of {best}, the best on dev, for mlflow.pyfunc")
    finally:
        told = tuning.tell(spec, attempts, found, workspace)
    return members, told


def _best(
    attempts: Sequence[Attempt], results: Mapping[str, MemberResult], models: ModelFolder
) -> str | None:
    """The member with a model whose dev UAR is best; of equal ones the first in the plan."""
    kept = models.hashes()
    planned = [key for attempt in attempts for key in attempt.hashes]
    found = {key: objective([results[key]]) for key in planned if key in results and key in kept}
    judged = {key: value for key, value in found.items() if not math.isnan(value)}
    return max(judged, key=judged.__getitem__) if judged else None
