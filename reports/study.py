"""Reports of studies in a workspace: from a study's name to its page, figures or comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activations.errors import InputError
from bench.data.members import Member
from bench.training.results import MemberResult
from reports.analysis.analysis import analyse
from reports.analysis.searched import SearchDesign, Tried, search_of
from reports.analysis.settings import Settings
from reports.figures.gallery import write_figures
from reports.figures.optuna_plots import HISTORY, IMPORTANCE, SLICE
from reports.figures.searched_settings import SENSITIVITY
from reports.figures.style import FORMATS
from reports.page.across import write_across
from reports.page.beside import write_beside
from reports.page.page import write_report
from reports.page.tuning_section import write_search
from reports.page.versus import write_versus
from reports.planned import AS_PLANNED, Asked, planned_baseline, planned_settings
from studies.frozen import record_look
from studies.loading import load
from studies.result_files import PlanRecord, ResultFolder, read_study
from studies.seeds import Metric
from studies.tuned import TuningRecord, scored
from studies.tuning import tried
from studies.workspace import StudyFolder, Workspace

SEARCHED = (IMPORTANCE.name, HISTORY.name, SLICE.name)  # figures of a search


def write(
    study: str | Path | Sequence[MemberResult],
    folder: str | Path | None = None,
    *,
    baseline: str | None = None,
    margin: float | None = None,
    level: float | None = None,
    metric: Metric | None = None,
    family: Sequence[str] = (),
) -> Path:
    """Write the report of a study; return its page, index.html.

    study: the folder of a study (WORKSPACE/studies/NAME), whose plan says what is missing, or
    results. folder: where to write; replaced as a whole; by default the study's own `report`.
    baseline, margin (of practical equality, in points), level, metric ("uar" or "war"): by default
    the plan's (tanh, 1, 0.05 and uar for results alone). family: labels of the variants to judge as
    a family of their own, by default the plan's primary comparisons. What is not as planned
    makes the report of a study exploratory. The report of a complete plan is recorded as a look.
    Raises InputError for a study without results, and as `page.write_report`.

    >>> import reports, tempfile
    >>> results = reports.example(["tanh", "elu"], ["gru"], seeds=1, utterances=40)
    >>> page = reports.write(results, tempfile.mkdtemp() + "/report")
    >>> sorted(path.name for path in page.parent.iterdir())
    ['figures', 'index.html', 'references.bib', 'report.json', 'tables']
    """
    if not isinstance(study, str | Path):
        if folder is None:
            raise TypeError("results alone do not say where to write: give a folder")
        settings = None
        if margin is not None or level is not None or metric is not None:
            settings = Settings(
                rope=Settings.rope if margin is None else margin,
                level=Settings.level if level is None else level,
                metric=metric or Settings.metric,
            )
        return write_report(study, Path(folder), baseline=baseline or "tanh", settings=settings)
    place = StudyFolder(Path(study))
    asked = Asked(baseline=baseline, margin=margin, level=level, metric=metric, family=family)
    planned = _planned(place, asked)
    page = write_report(
        planned.results,
        place.report if folder is None else Path(folder),
        baseline=planned.baseline,
        planned=planned.record.members,
        tuned=tried(planned.record, ResultFolder(place.results)),
        search=search_design(place),
        settings=planned.settings,
    )
    planned.looked_at(place)
    return page


@dataclass(frozen=True)
class _Planned:
    """A study as it was planned and as far as it is: what every page of it starts from."""

    record: PlanRecord
    results: list[MemberResult]
    settings: Settings
    baseline: str

    @property
    def members(self) -> list[Member]:
        return list(self.record.members.values())

    def looked_at(self, folder: StudyFolder) -> None:
        """Put on record that somebody saw differences of these members."""
        complete = len(self.results) == len(self.record.members) and not self.settings.growing
        seeds = len({member.seed for member in self.members})
        record_look(folder, list(self.record.members), seeds, complete=complete)


def _planned(folder: StudyFolder, asked: Asked) -> _Planned:
    record, results = PlanRecord.read(folder), read_study(folder)
    return _Planned(
        record=record,
        results=results,
        settings=planned_settings(folder, record.members, results, asked),
        baseline=asked.baseline or planned_baseline(folder),
    )


def search_design(folder: StudyFolder) -> SearchDesign | None:
    """What a study's search was and tried; None where there was none."""
    search = TuningRecord.read(folder)
    if search is None:
        return None
    spec = load(str(folder.spec), workspace=Workspace(folder.root.parent.parent))
    kept = ResultFolder(folder.results).by_hash()
    return SearchDesign(
        space={key: entry.model_dump() for key, entry in spec.search.items()},
        own=spec.hyperparameters(),
        sampler=spec.tuning.sampler,
        seeds=spec.tuning.seeds,
        confirmed=spec.settings == "tuned",
        tried=tuple(
            Tried(one.variant.label, one.fold, one.hyper, tuple(kept[key] for key in one.hashes))
            for one in scored(search.attempts, kept)
        ),
    )


def write_tuned(folder: StudyFolder) -> Path:
    """Write the report of a study that was tuned and not run yet; return its page.

    Raises InputError where it was not tuned, or no setting is finished.
    """
    design = search_design(folder)
    results = [result for one in design.tried for result in one.results] if design else []
    ratios = {r.fold: r.test_size / r.train_size for r in results}
    spec = load(str(folder.spec), workspace=Workspace(folder.root.parent.parent))
    search = search_of(
        design,
        list(ratios),
        np.array(list(ratios.values())),
        selection=spec.protocol.selection,
    )
    if search is None:
        raise InputError(f"nothing is tuned yet; start it with: gateswap tune {folder.root.name}")
    return write_search(spec.name, search, folder.report)


def draw_figures(
    name: str,
    place: Workspace,
    *,
    asked: Asked = AS_PLANNED,
    names: Sequence[str] = (),
    formats: Sequence[str] = (),
) -> list[Path]:
    """Draw figures of a study by name (all by default) into its report; return the files.

    Raises InputError as `gallery.write_figures` and `analysis.analyse`.
    """
    folder = place.study(name)
    planned = _planned(folder, asked)
    searched = not names or {SENSITIVITY.name, *SEARCHED} & set(
        names
    )  # else tuned results need not be read
    analysis = analyse(
        planned.results,
        baseline=planned.baseline,
        planned=planned.members,
        tuned=tried(planned.record, ResultFolder(folder.results)) if searched else [],
        search=search_design(folder) if searched else None,
        settings=planned.settings,
    )
    drawn = write_figures(
        analysis, folder.report / "figures", only=names, formats=formats or FORMATS
    )
    planned.looked_at(folder)
    return [path for figure in drawn for path in figure.files.values()]


def compare_with(names: Sequence[str], place: Workspace, *, asked: Asked = AS_PLANNED) -> Path:
    """Compare studies of a workspace; return the page, which lies in the first one's folder.

    Two studies of one corpus are compared variant by variant (`versus`); studies of different
    corpora are put together (`across`). Raises InputError as `versus.write_versus` and
    `across_corpora.across_corpora`.
    """
    folders = [place.study(name) for name in names]
    studies = [_planned(folder, asked) for folder in folders]
    corpora = [one.results[0].identity.corpus.fingerprint if one.results else "" for one in studies]
    first, results = folders[0].root, [one.results for one in studies]
    baselines = [one.baseline for one in studies]
    plans, settings = [one.members for one in studies], [one.settings for one in studies]
    if len(names) == 2 and corpora[0] == corpora[1]:
        page = write_versus(
            results[0],
            results[1],
            first / f"versus-{names[1]}",
            baselines=baselines,
            planned=plans,
            settings=settings,
        )
    else:
        page = write_across(
            results,
            first / f"across-{'-'.join(names[1:])}",
            baselines=baselines,
            planned=plans,
            settings=settings,
        )
    for one, folder in zip(studies, folders, strict=True):
        one.looked_at(folder)
    return page


def write_with(
    name: str, predictions: Path, place: Workspace, *, asked: Asked = AS_PLANNED
) -> Path:
    """Put another model's predictions beside a study; return the page, in the study's folder.

    Raises InputError as `outside.write_beside`.
    """
    folder = place.study(name)
    planned = _planned(folder, asked)
    page = write_beside(
        planned.results,
        predictions,
        folder.root / f"with-{predictions.stem}",
        baseline=planned.baseline,
        planned=planned.members,
        settings=planned.settings,
    )
    planned.looked_at(folder)
    return page
