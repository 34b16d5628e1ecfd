"""Reports of studies in a workspace: from a study's name to its page, figures or comparison."""

from collections.abc import Sequence
from pathlib import Path

from reports.figures import FORMATS
from reports.page.page import write_figures, write_report
from reports.page.versus import write_versus
from studies.results import PlanRecord, ResultFolder, read_study
from studies.workspace import Workspace


def report_study(name: str, place: Workspace, *, baseline: str) -> Path:
    """Write a study's report into its folder; return the page.

    Raises InputError for a study without results, and as `page.write_report`.
    """
    folder = place.study(name)
    planned = PlanRecord.read(folder).members
    tuned = ResultFolder(folder.results).by_hash(besides=planned)
    return write_report(
        read_study(folder),
        folder.report,
        baseline=baseline,
        planned=planned,
        tuned=list(tuned.values()),
    )


def draw_figures(
    name: str,
    place: Workspace,
    *,
    baseline: str,
    names: Sequence[str] = (),
    formats: Sequence[str] = (),
) -> list[Path]:
    """Draw figures of a study by name (all by default) into its report; return the files.

    Raises InputError as `page.write_figures`.
    """
    folder = place.study(name)
    return write_figures(
        read_study(folder),
        folder.report / "figures",
        names=names,
        formats=formats or FORMATS,
        baseline=baseline,
        planned=PlanRecord.read(folder).members,
    )


def compare_with(name: str, other: str, place: Workspace, *, baseline: str) -> Path:
    """Compare two studies of a workspace; return the page, which lies in the first one's folder.

    Raises InputError as `versus.write_versus`.
    """
    studies = (place.study(name), place.study(other))
    first, second = (read_study(study) for study in studies)
    one, two = (list(PlanRecord.read(study).members.values()) for study in studies)
    return write_versus(
        first,
        second,
        studies[0].root / f"versus-{other}",
        baseline=baseline,
        planned=(one, two),
    )
