"""What MLflow shows beside numbers: a study's page, its sources and data sets.

- MLflow 3 opens an experiment of unknown kind as one of language models, where runs have no metric
  columns. An experiment says its kind, and comes with a view: UAR and WAR first, the best on top.
- What is told of a run is what was: the machine that trained it, since when and until when, on
  which corpus and fold, by content.
"""

import json
import socket
from typing import TYPE_CHECKING, Any

from bench.escapes import markdown, shown_name
from bench.training.results import MemberResult
from studies.workspace import StudyFolder

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.entities import DatasetInput

LEVEL = "gateswap.level"  # "trial", "member" or:
STUDY = "study"  # the run that has the report
KIND, NOTE = "mlflow.experimentKind", "mlflow.note.content"
VIEW = "gateswap"  # the key of the view that the printed address opens
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
FIRST = ("test_uar.dev", "test_war.dev")  # the metrics that are shown first and sorted by
PARAMS = ("activation", "direction")
VIEW_FILTER = f"tags.\"{LEVEL}\" != 'member'"
VIEW_ORDER = f"metrics.`{FIRST[0]}` DESC"


def experiment_tags(result: MemberResult, folder: StudyFolder) -> dict[str, str]:
    """What a study's experiment says of itself: its kind, a description, a view of its runs."""
    return {
        KIND: "custom_model_development",
        NOTE: _description(result, folder),
        VIEW_TAG: json.dumps(_view()),
    }


def _description(result: MemberResult, folder: StudyFolder) -> str:
    """Markdown: which study, of what, judged how, and where its files are."""
    identity, corpus = result.identity, result.identity.corpus
    speech = " (synthetic speech: the numbers say nothing of human emotion)" * corpus.synthetic
    report = (folder.report / "index.html").absolute()
    return "\n".join(
        [
            f"**Study {folder.root.name}**: each run of the table is a variant (a trial) with its "
            "means over folds and seeds. Each fold and seed is a run, too: empty the search field, "
            "or search for `params.fold = 'Ses01'`, `params.activation = 'tanh'`.",
            "",
            f"- Corpus: {markdown(corpus.name)}{speech}, fingerprint `{corpus.fingerprint}`",
            f"- Protocol: {markdown(identity.protocol.text)}",
            f"- Files, the truth of which this is a picture: `{folder.root.absolute()}`",
            f"- Report: [{report}]({report.as_uri()}) (`gateswap report {folder.root.name}`)",
            "",
            "`test_uar.dev` is the UAR on test at the checkpoint that was best on dev; `.oracle` "
            "at the best on test, which is too good by construction; `.last` after the last step.",
        ]
    )


def _view() -> dict[str, Any]:
    """The state of MLflow's page of runs: which columns, in which order."""
    columns = [f"metrics.`{name}`" for name in FIRST] + [f"params.`{name}`" for name in PARAMS]
    return {
        "searchFilter": VIEW_FILTER,
        "orderByKey": columns[0],
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "viewMaximized": True,
    }


def source_tags(result: MemberResult) -> dict[str, str]:
    """What trained a member, in the words that MLflow's columns look for."""
    identity = result.identity
    return {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"gateswap run {identity.study}".strip(),
        "mlflow.user": identity.host,
    }


def report_tags(study: str) -> dict[str, str]:
    """What the run says of itself that has a study's report."""
    return {
        LEVEL: STUDY,
        NOTE: "The study's report as files: `index.html` is the page; `figures` has, among others, "
        "the confusion matrices and the activations before and after training; `tables` has the "
        "numbers. Written anew by `gateswap report`, taken here by `gateswap mirror`.",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"gateswap report {study}",
        "mlflow.user": socket.gethostname(),
    }


def dataset_of(result: MemberResult, *, fold: str = "") -> "DatasetInput":
    """The corpus, or a fold of it, as a data set of MLflow's with a digest of its content."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    identity = result.identity
    corpus = identity.corpus
    name = f"{corpus.name or 'corpus'}{f', fold {fold}' if fold else ''}"
    profile: dict[str, Any] = {"features": identity.features}
    if fold:
        profile |= {"train": result.train_size, "test": result.test_size}
    return DatasetInput(
        Dataset(
            name=shown_name(name),
            digest=corpus.fingerprint[:12],
            source_type="code",
            source=json.dumps({"tags": {"gateswap.features": identity.features}}),
            profile=json.dumps(profile),
        ),
        tags=[InputTag("mlflow.data.context", "training")],
    )


def started(result: MemberResult, ended: int) -> int:
    """When a member's training began [ms]: its stack's, whose members ended together."""
    return ended - round(1000 * result.wall_seconds * max(1, result.stack_members))
