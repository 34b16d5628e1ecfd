"""The workspace: the one folder that everything a command writes lies under.

- Paths are said here and nowhere else, so that the layout can be read in one place.
- A folder that cannot be written to is found out before any work is done, not after an hour of it.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from activations.errors import InputError

DEFAULT = Path("runs")


@dataclass(frozen=True)
class StudyFolder:
    """Where one study keeps its specification, plan, results and report."""

    root: Path

    @property
    def spec(self) -> Path:
        """The specification as resolved: file and overrides merged, defaults written out."""
        return self.root / "spec.yaml"

    @property
    def plan(self) -> Path:
        """The members that the specification asks for, as JSON: what belongs to the study."""
        return self.root / "plan.json"

    @property
    def results(self) -> Path:
        """One file per finished member, named by the member's hash."""
        return self.root / "results"

    @property
    def tuning(self) -> Path:
        """The settings that tuning tries or has tried, by variant and fold."""
        return self.root / "tuning.json"

    @property
    def tuned_only(self) -> bool:
        """Whether the study was tuned and not run yet."""
        return self.tuning.exists() and not self.plan.exists()

    @property
    def models(self) -> Path:
        """One file per trained network that is kept, named by its member's hash."""
        return self.root / "models"

    @property
    def checkpoints(self) -> Path:
        """Where members in training were last, one file each, named by the member's hash."""
        return self.root / "checkpoints"

    @property
    def log(self) -> Path:
        """What every run of the study said, with times."""
        return self.root / "log.txt"

    @property
    def frozen(self) -> Path:
        """What was planned before the first member trained, and what changed since."""
        return self.root / "frozen.json"

    @property
    def looks(self) -> Path:
        """The reports and exports: each look at differences."""
        return self.root / "looks.json"

    @property
    def stamps(self) -> Path:
        """What MLflow and Optuna held when they were complete."""
        return self.root / "mirrored.json"

    @property
    def report(self) -> Path:
        """The page, its figures and its tables."""
        return self.root / "report"


@dataclass(frozen=True)
class Workspace:
    """The layout of a workspace; creating the object touches nothing on disk.

    optuna_url, mlflow_url: where the mirrors are kept instead, for this command; None: as the
    environment or the workspace's file have it. They may hold passwords.
    """

    root: Path
    optuna_url: str | None = field(default=None, repr=False, kw_only=True)
    mlflow_url: str | None = field(default=None, repr=False, kw_only=True)

    @property
    def settings(self) -> Path:
        """What a person may write of the workspace: where its mirrors are kept."""
        return self.root / "workspace.yaml"

    @property
    def digests(self) -> Path:
        """Hashes of audio files that were read before."""
        return self.root / "corpora" / "digests.sqlite"

    @property
    def corpora(self) -> Path:
        """Corpora that gateswap made itself."""
        return self.root / "corpora"

    @property
    def features(self) -> Path:
        """Feature stores, named by their keys."""
        return self.root / "features"

    @property
    def mlflow_database(self) -> Path:
        """SQLite file of MLflow's runs."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Files that belong to MLflow's runs."""
        return self.root / "mlartifacts"

    @property
    def optuna_database(self) -> Path:
        """SQLite file of Optuna's studies."""
        return self.root / "optuna.db"

    def study(self, name: str) -> StudyFolder:
        """Return the folder of a study, whether or not it exists.

        Raises InputError for a name that would lead elsewhere: some come from files of others.
        """
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise InputError(f"{name[:100]!r} is no name of a study: it has to name one folder")
        return StudyFolder(self.root / "studies" / name)

    def study_names(self) -> list[str]:
        """Return the names of the studies that have a specification here, sorted."""
        return sorted(path.parent.name for path in (self.root / "studies").glob("*/spec.yaml"))


def writable(folder: Path, *, remedy: str = "Choose another folder with --workspace") -> Path:
    """Create a folder with its parents, prove that files can be written to it, and return it.

    Raises InputError, naming the folder and the remedy, where that is not so.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"cannot write to {folder}: {reason}. {remedy}, or change the permissions of this one"
        ) from error
    return folder
