"""What MLflow is told of a study's members and trials, whoever writes it down.

- All of it comes from result files, dated as these are: drawn again, it is the same. But a trial's
  means are dated when they are written: the latest replaces those before.
- A trial's learning curves are means at the steps that all members have who did not diverge.
"""

import csv
import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.members import Member
from bench.escapes import csv_cell, shown_name
from bench.training import metrics
from bench.training.results import CURVES, SELECTIONS, MemberResult
from studies import browsing

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.entities import DatasetInput

MEMBER, TRIAL, PARENT = "gateswap.member", "gateswap.trial", "mlflow.parentRunId"
LONGEST_NAME = 250  # characters of a run's name in MLflow's databases
LONGEST_VALUE = 6_000  # … and of a parameter
SCORES = tuple(f"test_{score}.{selection}" for selection in SELECTIONS for score in ("uar", "war"))


class Point(NamedTuple):
    """A number of a run; at: when [ms]."""

    key: str
    value: float
    at: int
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as it is to be drawn. started, ended [ms]; files: texts by name."""

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    dataset: "DatasetInput"
    started: int
    ended: int
    points: Sequence[Point] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """Whose run MLflow says it is."""
        return self.tags.get("mlflow.user", "unknown")


def trial_record(result: MemberResult, *, started: int, ended: int) -> RunRecord:
    """The run of a trial, of which this is a member."""
    settings = settings_of(result.member)
    return RunRecord(
        name=shown_name(result.variant.label, LONGEST_NAME),
        tags=_shared_tags(result) | {TRIAL: trial_of(settings), browsing.LEVEL: "trial"},
        params=_params(settings),
        dataset=browsing.dataset_of(result),
        started=started,
        ended=ended,
    )


def member_record(
    key: str, result: MemberResult, parent: str, *, ended: int, more: Iterable[Point] = ()
) -> RunRecord:
    """The run of a member. key: its hash; parent: its trial's run; more: numbers not of results."""
    settings = settings_of(result.member)
    place = f" · {result.fold[:100]} · seed {result.seed}"
    own = {TRIAL: trial_of(settings), MEMBER: key, PARENT: parent, browsing.LEVEL: "member"}
    points = [Point(name, value, ended) for name, value in member_scores(result).items()]
    points.append(Point("wall_seconds", result.wall_seconds, ended))
    return RunRecord(
        name=shown_name(result.variant.label[: 200 - len(place)] + place, LONGEST_NAME),
        tags=_member_tags(result) | own,
        params=_params(settings | {"fold": result.fold, "seed": result.seed}),
        dataset=browsing.dataset_of(result, fold=result.fold),
        started=browsing.started(result, ended),
        ended=ended,
        points=[*points, *_curves(result, ended), *more],
        files={"confusion.csv": confusion_table(result.confusion("dev"), result.classes)},
    )


def summary(scores: Sequence[Mapping[str, float]]) -> list[Point]:
    """A trial's means over its members' scores, and their standard deviations."""
    now, points = _now(), []
    for name in SCORES:
        values = [entry[name] for entry in scores]
        points.append(Point(name, float(np.mean(values)), now))
        if len(values) > 1:
            points.append(Point(f"{name}.std", float(np.std(values, ddof=1)), now))
    return points


def mean_curves(results: Sequence[MemberResult]) -> list[Point]:
    """Means of members' curves at the steps that all who did not diverge have, and deviations."""
    now = _now()
    curves = [result.curves for result in results if result.outcome == "ok"]
    common = set.intersection(*(set(own["step"].tolist()) for own in curves)) if curves else set()
    steps = sorted(common)
    points = []
    for name in CURVES[1:]:
        rows = [own[name][np.isin(own["step"], steps)] for own in curves]
        for step, values in zip(steps, np.array(rows).T, strict=False):
            points.append(Point(name, float(values.mean()), now, int(step)))
            if len(values) > 1:
                points.append(Point(f"{name}.std", float(values.std(ddof=1)), now, int(step)))
    return points


def member_scores(result: MemberResult) -> dict[str, float]:
    """UAR and WAR on the test fold, as shares, for each selection: {"test_uar.dev": …}."""
    scores = {}
    for selection in SELECTIONS:
        matrix = result.confusion(selection)
        scores[f"test_uar.{selection}"] = float(metrics.uar_from(matrix))
        scores[f"test_war.{selection}"] = float(metrics.war_from(matrix))
    return scores


def confusion_table(matrix: "np.ndarray", classes: Iterable[str]) -> str:
    """A confusion matrix [C, C] as CSV: a row per true class, a column per predicted."""
    names = [csv_cell(name) for name in classes]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ predicted", *names])
    writer.writerows([name, *row] for name, row in zip(names, matrix.tolist(), strict=True))
    return text.getvalue()


def settings_of(member: Member) -> dict[str, object]:
    """What a trial's members share, by name."""
    return {**member.variant.names, **member.hyper.as_dict()}


def _params(settings: Mapping[str, object]) -> dict[str, str]:
    """As MLflow's pages list and export them: numbers as they are, names as text."""
    return {
        name: shown_name(value, LONGEST_VALUE) if isinstance(value, str) else str(value)
        for name, value in settings.items()
    }


def trial_of(settings: Mapping[str, object]) -> str:
    """The name that a trial's members have in common."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _curves(result: MemberResult, ended: int) -> Iterator[Point]:
    steps = result.curves["step"].astype(int).tolist()
    for name in CURVES[1:]:
        for step, value in zip(steps, result.curves[name].tolist(), strict=True):
            yield Point(name, value, ended, step)


def _now() -> int:
    return round(1000 * time.time())


def _shared_tags(result: MemberResult) -> dict[str, str]:
    identity = result.identity
    corpus = identity.corpus
    return {
        "corpus": shown_name(f"{corpus.name}{' (synthetic)' if corpus.synthetic else ''}"),
        "corpus.fingerprint": corpus.fingerprint,
        "protocol": str(identity.protocol.as_dict()),
        "features": identity.features,
    }


def _member_tags(result: MemberResult) -> dict[str, str]:
    identity = result.identity
    tags = {
        "code_version": identity.code_version,
        "kernel": identity.kernel,
        "device": identity.device,
        "precision": identity.precision,
        "torch": identity.torch,
        "host": identity.host,
    }
    tags |= {"outcome": result.outcome, "stack_members": str(result.stack_members)}
    if result.diverged_at is not None:
        tags["diverged_at"] = str(result.diverged_at)
    return _shared_tags(result) | browsing.source_tags(result) | tags
