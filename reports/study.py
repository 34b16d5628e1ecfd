"""Reports of studies in a workspace: from a study's name to its page, figures or comparison."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from activations.errors import InputError
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
from reports.planned import planned_baseline, planned_settings
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
                rope=margin or Settings.rope,
                level=level or Settings.level,
                metric=metric or Settings.metric,
            )
        return write_report(study, Path(folder), baseline=baseline or "tanh", settings=settings)
    place = StudyFolder(Path(study))
    record = PlanRecord.read(place)
    results = read_study(place)
    settings = planned_settings(
        place,
        record.members.values(),
        results,
        baseline=baseline,
        margin=margin,
        level=level,
        metric=metric,
        family=family,
    )
    page = write_report(
        results,
        place.report if folder is None else Path(folder),
        baseline=baseline or planned_baseline(place),
        planned=record.members,
        tuned=tried(record, ResultFolder(place.results)),
        search=search_design(place),
        settings=settings,
    )
    complete = len(results) == len(record.members) and not settings.growing
    if complete and not settings.departures:
        record_look(place, list(record.members), len({m.seed for m in record.members.values()}))
    return page


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
    baseline: str,
    names: Sequence[str] = (),
    formats: Sequence[str] = (),
) -> list[Path]:
    """Draw figures of a study by name (all by default) into its report; return the files.

    Raises InputError as `gallery.write_figures` and `analysis.analyse`.
    """
    folder = place.study(name)
    record = PlanRecord.read(folder)
    searched = not names or {SENSITIVITY.name, *SEARCHED} & set(
        names
    )  # else tuned results need not be read
    tuned = tried(record, ResultFolder(folder.results)) if searched else []
    analysis = analyse(
        read_study(folder),
        baseline=baseline,
        planned=record.members.values(),
        tuned=tuned,
        search=search_design(folder) if searched else None,
    )
    drawn = write_figures(
        analysis, folder.report / "figures", only=names, formats=formats or FORMATS
    )
    return [path for figure in drawn for path in figure.files.values()]


def compare_with(names: Sequence[str], place: Workspace, *, baseline: str) -> Path:
    """Compare studies of a workspace; return the page, which lies in the first one's folder.

    Two studies of one corpus are compared variant by variant (`versus`); studies of different
    corpora are put together (`across`). Raises InputError as `versus.write_versus` and
    `across_corpora.across_corpora`.
    """
    studies = [place.study(name) for name in names]
    results = [read_study(study) for study in studies]
    planned = [list(PlanRecord.read(study).members.values()) for study in studies]
    corpora = [found[0].identity.corpus.fingerprint if found else "" for found in results]
    if len(names) == 2 and corpora[0] == corpora[1]:
        return write_versus(
            results[0],
            results[1],
            studies[0].root / f"versus-{names[1]}",
            baseline=baseline,
            planned=(planned[0], planned[1]),
        )
    folder = studies[0].root / f"across-{'-'.join(names[1:])}"
    return write_across(results, folder, baseline=baseline, planned=planned)


def write_with(name: str, predictions: Path, place: Workspace, *, baseline: str) -> Path:
    """Put another model's predictions beside a study; return the page, in the study's folder.

    Raises InputError as `outside.write_beside`.
    """
    study = place.study(name)
    return write_beside(
        read_study(study),
        predictions,
        study.root / f"with-{predictions.stem}",
        baseline=baseline,
        planned=list(PlanRecord.read(study).members.values()),
    )
