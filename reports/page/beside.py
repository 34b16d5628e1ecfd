"""The page of another model's predictions beside a study's variants."""

import json
from collections.abc import Sequence
from pathlib import Path

from activations.files import atomically
from bench.data.members import Member
from bench.training.results import MemberResult
from reports.analysis.analysis import analyse
from reports.analysis.outside import beside, read_predictions
from reports.analysis.settings import Settings
from reports.page import tables
from reports.page.templates import fill
from reports.score_table import load
from reports.statistics.arrays import plain
from reports.statistics.means import mean_of_known, seed_means


def write_beside(
    results: Sequence[MemberResult],
    predictions: Path,
    folder: Path,
    *,
    baseline: str = "tanh",
    planned: Sequence[Member] = (),
    settings: Settings | None = None,
) -> Path:
    """Write index.html and beside.json; return the page's path.

    predictions: a CSV file, see `outside.read_predictions`. settings: of the study's report.
    Raises InputError as that and `analysis.analyse`, GateswapError where the folder cannot be
    written.
    """
    scores, ours = load(results, planned=planned)
    model = read_predictions(predictions, ours)
    analysis = analyse(results, baseline=baseline, planned=planned, settings=settings)
    found = beside(scores, ours, model, analysis.settings, tested=analysis.permission.tested)
    outputs = {one.variant: one for one in analysis.outputs}
    page = fill(
        "beside.html",
        found=found,
        analysis=analysis,
        design=tables.design_line(analysis),
        theirs=[float(mean_of_known(seed_means(t))) for t in (model.uar, model.war)],
        outputs=outputs,
        interval=tables.interval,
        file=predictions.name,
    )
    shown = plain(found)
    del shown["model"]["predicted"]  # the file itself says so
    text = json.dumps(shown, ensure_ascii=False, indent=1, allow_nan=False)
    with atomically(folder, durable=False) as whole:
        whole.mkdir()
        (whole / "beside.json").write_text(text, encoding="utf-8")
        (whole / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"
