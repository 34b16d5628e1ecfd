"""How far a study is: trials and their members, from the result files alone.

- It answers while another process trains, and without reading a corpus.
- It answers within a second, of thousands of members: files are read as far as their headers, and
  what takes long to import (torch, pydantic, SymPy) is where a rule for seeds has to be weighed.
- Times left are projected from members that are finished, of the same trial where there are any.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from activations.files import file_text
from bench.data.members import Member, Variant
from bench.training.glance import Glance
from studies import yaml_text
from studies.kinds import ComputedOn, kinds_of
from studies.plan import Trial, group_trials
from studies.result_files import PlanRecord, ResultFolder
from studies.tuned import TuningRecord
from studies.workspace import StudyFolder, Workspace

if TYPE_CHECKING:
    from studies.seeds import Metric, SeedRule
    from studies.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class TrialStatus:
    """One trial: variant label, setting where trials differ in it, and numbers of members.

    seconds: wall time of the finished members. seconds_left: projected for the missing ones; None
    where nothing comparable is finished.
    """

    variant: str
    setting: dict[str, Any]
    members: int
    finished: int
    diverged: int
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True)
class SearchStatus:
    """A search for settings. trials: of each variant on each fold; members: proposed so far."""

    trials: int
    members: int
    finished: int
    complete: bool


@dataclass(frozen=True)
class Status:
    """The trials of a study, and the files that belong to it.

    kinds: on what its finished members were computed, and how many on each. unreadable: a sentence
    for each result file that cannot be read; its member counts as missing. seeds: where a rule for
    seeds stands, empty without one. search: None where nothing was tuned.
    """

    study: str
    trials: tuple[TrialStatus, ...]
    other_results: int  # of earlier specifications or of tuning
    folder: Path
    report: Path | None
    kinds: Mapping[ComputedOn, int]
    unreadable: tuple[str, ...] = ()
    seeds: str = ""
    search: SearchStatus | None = None

    @property
    def members(self) -> int:
        """How many members the study has."""
        return sum(trial.members for trial in self.trials)

    @property
    def finished(self) -> int:
        """How many of them are finished."""
        return sum(trial.finished for trial in self.trials)

    @property
    def seconds_left(self) -> float | None:
        """Projected for all missing members; None where a trial cannot be projected."""
        parts = [trial.seconds_left for trial in self.trials]
        return None if None in parts else float(sum(part or 0.0 for part in parts))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "study": self.study,
            "members": self.members,
            "finished": self.finished,
            "missing": self.members - self.finished,
            "diverged": sum(trial.diverged for trial in self.trials),
            "seconds": sum(trial.seconds for trial in self.trials),
            "seconds_left": self.seconds_left,
            "other_results": self.other_results,
            "folder": str(self.folder),
            "report": None if self.report is None else str(self.report),
            "kinds": [asdict(kind) | {"members": n} for kind, n in self.kinds.items()],
            "search": None if self.search is None else asdict(self.search),
            "unreadable": list(self.unreadable),
            "seeds": self.seeds,
            "trials": [asdict(trial) for trial in self.trials],
        }


def folder_status(folder: StudyFolder) -> Status:
    """How far a study is that was run or tuned before.

    Raises InputError for one that was neither.
    """
    if folder.tuned_only:
        return study_status(folder.root.name, {}, folder)
    record = PlanRecord.read(folder)
    spec = _with_rule(folder)
    return study_status(
        record.study,
        record.members,
        folder,
        rule=spec.seed_rule if spec else None,
        metric=spec.analysis.metric if spec else "uar",
    )


def _with_rule(folder: StudyFolder) -> "StudySpec | None":
    """The specification, checked, where it has a rule for seeds or cannot be read."""
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
        data = yaml_text.read(file_text(folder.spec))
        if isinstance(data, dict) and not isinstance(data.get("seeds"), dict):
            return None
    from studies.loading import load

    return load(str(folder.spec), workspace=Workspace(folder.root.parent.parent))


def study_status(
    name: str,
    members: Mapping[str, Member],
    folder: StudyFolder,
    *,
    rule: "SeedRule | None" = None,
    metric: "Metric" = "uar",
) -> Status:
    """How far the study of these members (by hash) is, as its folder has it.

    rule: by which seeds are added, where there is one, weighing the luck in `metric`.
    """
    results = ResultFolder(folder.results)
    unreadable: list[str] = []
    found = results.glances(report=unreadable.append)
    page = folder.report / "index.html"
    own = [glance for key, glance in found.items() if key in members]
    seeds = ""
    if rule:
        from studies.seeds import noise_of

        noise = noise_of([results.read(key) for key in found if key in members], metric)
        seeds = rule.said(noise, finished=len(own) == len(members))
    return Status(
        study=name,
        trials=trial_status(members, found),
        other_results=len(results.hashes() - members.keys()),
        folder=folder.root,
        report=page if page.exists() else None,
        kinds=kinds_of(own),
        unreadable=tuple(unreadable),
        seeds=seeds,
        search=_search_status(folder, found),
    )


def _search_status(folder: StudyFolder, results: Mapping[str, Glance]) -> SearchStatus | None:
    record = TuningRecord.read(folder)
    if record is None:
        return None
    done = sum(key in results for key in record.members)
    return SearchStatus(record.trials, len(record.members), done, record.complete)


def find_study(study: str, workspace: Workspace) -> str:
    """The name of the study that STUDY means: one of the workspace's, a shipped one, a YAML file's.

    Raises InputError where it means none.
    """
    if study in workspace.study_names():
        return study
    from studies.loading import load

    return load(study, workspace=workspace).name


def trial_status(
    members: Mapping[str, Member], results: Mapping[str, Glance]
) -> tuple[TrialStatus, ...]:
    """The trials that members (by hash) make up, with what is finished among the results.

    A variant whose folds have settings of their own is one trial.
    """
    trials = [_of_one_variant(group) for group in _nested(group_trials(members), members)]
    settings = [trial.hyper.as_dict() for trial, nested in trials if not nested]
    names = settings[0] if settings else {}
    varying = [name for name in names if len({s[name] for s in settings}) > 1]
    return tuple(
        _status(
            trial,
            {"settings": "tuned"} if nested else {n: trial.hyper.as_dict()[n] for n in varying},
            results,
        )
        for trial, nested in trials
    )


def _nested(trials: Sequence[Trial], members: Mapping[str, Member]) -> list[list[Trial]]:
    """Trials of a variant together, if no fold and seed has two of them; else each by itself."""
    by_variant: dict[Variant, list[Trial]] = {}
    for trial in trials:
        by_variant.setdefault(trial.variant, []).append(trial)
    groups = []
    for group in by_variant.values():
        runs = [(members[k].fold, members[k].seed) for trial in group for k in trial.hashes]
        groups += [group] if len(set(runs)) == len(runs) else [[trial] for trial in group]
    return groups


def _of_one_variant(group: Sequence[Trial]) -> tuple[Trial, bool]:
    """One trial of several settings, and whether it is that."""
    hashes = tuple(key for trial in group for key in trial.hashes)
    return Trial(group[0].variant, group[0].hyper, hashes), len(group) > 1


def _status(trial: Trial, setting: dict[str, Any], results: Mapping[str, Glance]) -> TrialStatus:
    own = [results[key] for key in trial.hashes if key in results]
    comparable = own or [
        result
        for result in results.values()
        if result.member.hyper == trial.hyper
        and result.member.variant.direction == trial.variant.direction
    ]
    missing = len(trial.hashes) - len(own)
    left = None
    if comparable or not missing:
        each = np.mean([result.wall_seconds for result in comparable]) if missing else 0.0
        left = float(missing * each)
    return TrialStatus(
        variant=trial.variant.label,
        setting=setting,
        members=len(trial.hashes),
        finished=len(own),
        diverged=sum(result.outcome == "diverged" for result in own),
        seconds=sum(result.wall_seconds for result in own),
        seconds_left=left,
    )
