"""Options and arguments that several commands share, as Typer reads them off a signature."""

from pathlib import Path
from typing import Annotated

import typer


def _folder(given: Path) -> Path:
    """A folder that is there, or could be made. Raises BadParameter."""
    try:
        if given.exists() and not given.is_dir():
            raise typer.BadParameter(f"{given} is no folder")
    except OSError as error:  # a name that is too long, a folder that is closed
        raise typer.BadParameter(f"{given}: {(error.strerror or str(error)).lower()}") from None
    return given


Study = Annotated[
    str, typer.Argument(metavar="STUDY", help="A shipped study (demo, paper) or a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Fields to change, e.g. training.steps=300."),
]
WorkspaceFolder = Annotated[
    Path,
    typer.Option("--workspace", help="The folder that everything is written to.", callback=_folder),
]
OptunaUrl = Annotated[
    str | None,
    typer.Option("--optuna-url", help="A team's database instead of the workspace's file."),
]
MlflowUrl = Annotated[
    str | None,
    typer.Option("--mlflow-url", help="A team's MLflow server or database instead of that file."),
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda (all GPUs that are visible) or one as in cuda:1.")
]
Precision = Annotated[
    str, typer.Option(help="Of products: ieee (float32); on a GPU tf32 or bf16, on some CPUs bf16.")
]
Engine = Annotated[str, typer.Option(help="local (this machine) or ray (a Ray cluster).")]
Address = Annotated[
    str, typer.Option(help="Of the Ray cluster; auto: the one here; by default one for this run.")
]
WorkerCpus = Annotated[
    int | None, typer.Option(min=1, help="CPUs of each worker on Ray; by default up to 4.")
]
WorkerGpus = Annotated[
    float | None,
    typer.Option(min=0.01, help="GPUs of each worker on Ray, e.g. 0.5; by default 1."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Show warnings alone; the study's log has the rest.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Layout = Annotated[
    str,
    typer.Option(
        "--format",
        help="How the folder is laid out: iemocap, manifest, audformat, or a corpus known by its "
        "file names: emodb, ravdess, crema-d, savee, tess, msp-improv, msp-podcast, meld.",
    ),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Processes; by default one per core.")
]
