"""Reports from exports: the same page as the original's, and one of several put together."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from activations.errors import InputError
from reports import study as of_study
from reports.analysis.settings import Settings
from reports.page.page import write_report
from reports.planned import planned_baseline
from studies.exchange.imports import is_export, read_export, together, unpack
from studies.loading import load
from studies.seeds import Metric
from studies.workspace import Workspace


def exports_among(names: Sequence[str]) -> list[Path]:
    """The exports that names mean, if all or none do. Raises InputError for a mixture."""
    found = [Path(name) for name in names if is_export(Path(name))]
    if found and len(found) < len(names):
        raise InputError(
            f"{found[0]} is an export and {next(n for n in names if Path(n) not in found)} is "
            "none; report exports together, or studies of a workspace"
        )
    return found


def write_exported(
    folders: Sequence[Path],
    *,
    baseline: str | None = None,
    margin: float | None = None,
    level: float | None = None,
    metric: Metric | None = None,
    family: Sequence[str] = (),
) -> Path:
    """Write the report of one export, or of several put together, into the first one's folder.

    The arguments are those of `study.write`. Several have no common plan, so their report gives no
    verdicts. Raises InputError as `imports.read_export`, `imports.together` and `study.write`.
    """
    exports = [read_export(folder) for folder in folders]
    first = folders[0]
    with tempfile.TemporaryDirectory() as temporary:
        place = Workspace(Path(temporary))
        folder = place.study(exports[0].provenance["study"])
        unpack(exports[0], folder)
        if len(exports) == 1:
            return of_study.write(
                folder.root,
                first / "report",
                baseline=baseline,
                margin=margin,
                level=level,
                metric=metric,
                family=family,
            )
        baseline = baseline or planned_baseline(folder)
        asked = load(str(folder.spec), workspace=place)
    results, members = together(exports)
    settings = Settings(
        selection=asked.protocol.selection,
        level=level or asked.analysis.level,
        rope=margin or asked.analysis.margin,
        metric=metric or asked.analysis.metric,
        primary=tuple(family),
        departures=(f"{len(exports)} exports without a common plan were put together",),
        normalise=asked.features.normalise,
    )
    target = first / "-".join(["report-with", *(path.resolve().name for path in folders[1:])])
    return write_report(results, target, baseline=baseline, planned=members, settings=settings)
