"""What `import studies` offers to notebooks: a study by name, file or specification.

- Silent unless a display is given, but for a notebook's kernel, which shows a bar. Every word of a
  workspace is a folder's path: nothing here needs another import.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from studies.progress import SILENT, Display
from studies.workspace import DEFAULT, Workspace

if TYPE_CHECKING:  # a status needs neither torch nor pydantic
    from bench.training.results import MemberResult
    from studies.completion import Status
    from studies.predicting import PredictedFiles
    from studies.spec import StudySpec
    from studies.tuned import Choice


def load(
    study: str | Path, overrides: Sequence[str] = (), *, workspace: str | Path = DEFAULT
) -> "StudySpec":
    """The specification of a study: a shipped one's name, a YAML file, or one of the workspace's.

    overrides: `key=value` as on the command line. Raises InputError naming field and remedy.

    >>> import studies
    >>> spec = studies.load("demo", ["training.steps=300", "variants.activation=[tanh, SiLU]"])
    >>> spec.hyperparameters().steps
    300
    >>> [variant.label for variant in spec.variants.variants()]
    ['tanh · gru', 'silu · gru', 'tanh · bigru', 'silu · bigru']
    """
    from studies import loading

    return loading.load(str(study), overrides, workspace=Workspace(Path(workspace)))


def run(
    study: "str | Path | StudySpec",
    overrides: Sequence[str] = (),
    *,
    workspace: str | Path = DEFAULT,
    engine: str = "local",
    address: str = "",
    worker_cpus: int | None = None,
    worker_gpus: float | None = None,
    device: str = "auto",
    precision: str = "ieee",
    mirror: bool = True,
    optuna_url: str | None = None,
    mlflow_url: str | None = None,
    display: Display | None = None,
    callbacks: "Sequence[Callable[[MemberResult], None]]" = (),
) -> "list[MemberResult]":
    """Train what is missing of a study and return all its results, in the plan's order.

    engine, address, worker_cpus, worker_gpus, device, precision: as on the command line. mirror:
    whether MLflow and Optuna are kept up to date. optuna_url, mlflow_url: where, instead of in the
    workspace. display: who is told what happens; by default a notebook shows it, and nobody
    elsewhere. callbacks: each is called with every new result.
    Raises InputError for what cannot be used, GateswapError where training failed. An interrupt
    (Ctrl-C, the kernel's) raises KeyboardInterrupt; what is finished is kept, and the same call
    goes on. `help(studies)` has an example.
    """
    from studies.execution.machine import Machine
    from studies.runner import run_study

    place = Workspace(Path(workspace), optuna_url=optuna_url, mlflow_url=mlflow_url)
    spec = _specification(study, overrides, workspace)
    machine = Machine(
        device=device,
        precision=precision,
        engine=engine,
        address=address,
        worker_cpus=worker_cpus,
        worker_gpus=worker_gpus,
    )
    shown = _shown_here() if display is None else display
    with _interrupts():
        run_study(spec, place, machine=machine, mirror=mirror, display=shown, callbacks=callbacks)
    return results(spec.name, workspace=workspace)


def tune(
    study: "str | Path | StudySpec",
    overrides: Sequence[str] = (),
    *,
    trials: int | None = None,
    workspace: str | Path = DEFAULT,
    engine: str = "local",
    address: str = "",
    worker_cpus: int | None = None,
    worker_gpus: float | None = None,
    device: str = "auto",
    precision: str = "ieee",
    optuna_url: str | None = None,
    mlflow_url: str | None = None,
    display: Display | None = None,
) -> "dict[str, dict[str, Choice]]":
    """Try settings of every variant on every fold; what was chosen, by variant's label and fold.

    Each fold's setting is chosen by its own dev set alone. The specification's `search` says what
    is searched, and its `tuning` how; trials: instead of `tuning.trials`.
    Raises as `run` does, and InputError where there is nothing to search:

    >>> import studies, tempfile
    >>> spec = studies.load("demo", ["search={}"])
    >>> studies.tune(spec, workspace=tempfile.mkdtemp())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    activations.errors.InputError: study demo does not say what to tune; add to it, for example, ...
    """
    from studies.execution.machine import Machine
    from studies.tuner import tune_study
    from studies.tuning import with_trials

    spec = _specification(study, overrides, workspace)
    machine = Machine(
        device=device,
        precision=precision,
        engine=engine,
        address=address,
        worker_cpus=worker_cpus,
        worker_gpus=worker_gpus,
    )
    with _interrupts():
        return tune_study(
            spec if trials is None else with_trials(spec, trials),
            Workspace(Path(workspace), optuna_url=optuna_url, mlflow_url=mlflow_url),
            machine=machine,
            display=_shown_here() if display is None else display,
        )


def status(study: str, *, workspace: str | Path = DEFAULT) -> "Status":
    """How far a study of the workspace is: members, finished ones, and the time that is left.

    Raises InputError for a study that was never run there. `help(studies)` has an example.
    """
    from studies.completion import find_study, folder_status

    place = Workspace(Path(workspace))
    return folder_status(place.study(find_study(study, place)))


def predict(
    study: str,
    files: Sequence[str | Path],
    *,
    members: Sequence[str] = (),
    by: str = "mean",
    speakers: str = "one",
    workspace: str | Path = DEFAULT,
) -> "PredictedFiles":
    """What the trained members of a study say of recordings; `gateswap predict` for notebooks.

    members: hashes or VARIANT[/FOLD[/SEED]], by default all that have a model. by: "mean" of the
    probabilities or "majority". speakers: whether the recordings are of "one" speaker, of one in
    each "folder", or each "file" of another; see the notes of what is returned.
    Raises InputError for a study or member that is not there, and audio that cannot be used:

    >>> import studies, tempfile
    >>> studies.predict("demo", ["a.wav"], workspace=tempfile.mkdtemp())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    activations.errors.InputError: study demo has not been run in ...; start it with: ...
    """
    from studies.predicting import predict_files

    return predict_files(
        study,
        [Path(file) for file in files],
        Workspace(Path(workspace)),
        members=members,
        by=by,
        speakers=speakers,
    )


def results(study: str, *, workspace: str | Path = DEFAULT) -> "list[MemberResult]":
    """The finished members of a study of the workspace, in the plan's order.

    Raises InputError for a study that was never run there:

    >>> import studies, tempfile
    >>> studies.results("demo", workspace=tempfile.mkdtemp())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    activations.errors.InputError: study demo has not been run in ...; start it with: ...
    """
    from studies.completion import find_study
    from studies.result_files import read_study

    place = Workspace(Path(workspace))
    return read_study(place.study(find_study(study, place)))


def _specification(
    study: "str | Path | StudySpec", overrides: Sequence[str], workspace: str | Path
) -> "StudySpec":
    if isinstance(study, str | Path):
        return load(study, overrides, workspace=workspace)
    if overrides:
        raise ValueError("overrides belong to a study's name or file, not to its specification")
    return study


@contextmanager
def _interrupts() -> Iterator[None]:
    """A study that was stopped raises what stopped it, in the words that say what is kept."""
    from studies.runner import StudyStoppedError

    try:
        yield
    except StudyStoppedError as error:
        raise KeyboardInterrupt(str(error)) from None


def _shown_here() -> Display:
    """What shows a study where this runs: a notebook's kernel does, and nothing elsewhere."""
    find = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if find is None or getattr(find(), "kernel", None) is None:  # a terminal's shell has none
        return SILENT
    from studies.notebook import NotebookDisplay

    return NotebookDisplay()
