"""The report of a study: one self-contained page, and beside it every figure, table and number.

- The page needs no network and no other file: it can be mailed, archived and opened in ten years.
- Conclusion first. Every number is traced to its runs: the page ends with one line per run and the
  result file it came from.
- Written beside the old report, with which it changes places at the end: there is always one of the
  two, and nothing that no report wrote is lost with the old one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import InputError
from activations.files import atomically, sweep
from activations.wording import counted
from bench.data.members import Member
from bench.training import metrics
from bench.training.results import MemberResult
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.comparisons import BaselineComparison
from reports.analysis.gate_diagnostics import GateDiagnostics
from reports.analysis.published import published_beside
from reports.analysis.searched import SearchDesign
from reports.analysis.settings import Settings
from reports.figures.gallery import FigureFiles, write_figures
from reports.page import tables
from reports.page.methods import bibtex, methods_paragraph
from reports.page.templates import embedded, fill
from reports.page.tuning_section import tuning_section
from reports.statistics.divergence import divergence_rate
from reports.statistics.means import POINTS

MEMORY = 2**20
WRITTEN = {"index.html", "report.json", "references.bib", "tables", "figures"}  # in its folder
MANY = 24  # comparisons: from there on the page sorts and folds them


@dataclass(frozen=True)
class RunLine:
    """One run as the page lists it; uar, war in points under the chosen selection rule."""

    variant: str
    fold: str
    seed: int
    uar: float
    war: float
    step: int
    outcome: str
    file: str


def write_report(
    results: Sequence[MemberResult],
    folder: Path,
    *,
    baseline: str = "tanh",
    planned: Mapping[str, Member] | None = None,
    tuned: Sequence[MemberResult] = (),
    search: SearchDesign | None = None,
    settings: Settings | None = None,
) -> Path:
    """Write index.html, report.json, tables/, figures/, references.bib; return the page's path.

    results: of one study. folder: replaced as a whole. planned: the study's members by the hash
    that names their result files; without it the page cannot tell what is missing or name files.
    tuned: results of other settings of the same variants, for the figure of sensitivity. search:
    the study's search, for the section on tuning.
    Raises InputError as `analysis.analyse` does and for a folder that holds anything else,
    GateswapError where it cannot be written.
    """
    planned = planned or {}
    analysis = analyse(
        results,
        baseline=baseline,
        planned=list(planned.values()),
        tuned=tuned,
        search=search,
        settings=settings,
    )
    runs = _runs(analysis, results, planned)
    _refuse_foreign(folder)
    sweep(folder.parent, folder.name)
    with atomically(folder, durable=False) as whole:  # it can be written again
        _write(analysis, runs, whole)
    return folder / "index.html"


def _refuse_foreign(folder: Path) -> None:
    """Raise InputError where a folder that is to be replaced holds what no report wrote."""
    try:
        foreign = sorted({path.name for path in folder.iterdir()} - WRITTEN)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{folder} is no folder for a report ({error.strerror})") from None
    if foreign:
        raise InputError(
            f"{folder} holds {foreign[0]}, which no report wrote; a report replaces its whole "
            "folder: move it elsewhere, or name another folder"
        )


def _write(analysis: Analysis, runs: Sequence[RunLine], folder: Path) -> None:
    drawn = write_figures(analysis, folder / "figures")
    paragraph = methods_paragraph(analysis)
    table_folder = folder / "tables"
    table_folder.mkdir()
    for suffix, text in (
        ("tex", tables.latex(analysis)),
        ("md", tables.markdown(analysis)),
        ("csv", tables.csv(analysis)),
    ):
        (table_folder / f"results.{suffix}").write_text(text, encoding="utf-8")
    (folder / "references.bib").write_text(bibtex(paragraph), encoding="utf-8")
    everything = analysis.as_dict() | {"runs": [vars(run) for run in runs], "methods": paragraph}
    text = json.dumps(everything, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "report.json").write_text(text, encoding="utf-8")
    page = render(analysis, drawn, runs, paragraph)
    (folder / "index.html").write_text(page, encoding="utf-8")


def render(
    analysis: Analysis, drawn: Sequence[FigureFiles], runs: Sequence[RunLine], paragraph: str
) -> str:
    """The page's HTML."""
    told, untold = _sentences(analysis)
    return fill(
        "report.html",
        analysis=analysis,
        settings=analysis.settings,
        rows=_rows(analysis),
        many=MANY,
        told=told,
        untold=untold,
        headline=headline(analysis),
        design=tables.design_line(analysis),
        figures=[
            {"name": figure.name, "title": figure.title, "caption": figure.caption}
            | {"image": embedded(figure.files["svg"])}
            for figure in drawn
        ],
        provenance=vars(analysis.provenance),
        published=published_beside(
            analysis.corpus, analysis.synthetic, analysis.protocol, analysis.utterances
        ),
        costs=[_cost(gates) for gates in analysis.diagnostics],
        paragraph=paragraph,
        bibtex=bibtex(paragraph),
        latex=tables.latex(analysis),
        runs=runs,
        interval=tables.interval,
        tuning=tuning_section(analysis.search),
    )


def _rows(analysis: Analysis) -> list[dict[Any, Any]]:
    """The table's rows; of many, sorted by difference under the baseline of their direction."""
    table = tables.results_table(analysis)
    if len(table) > MANY:
        groups = {name: k for k, name in enumerate(dict.fromkeys(table["baseline"])) if name}
        of = [groups[row.baseline or row.variant] for row in table.itertuples()]
        table = table.assign(group=of, heads=table["baseline"] != "").sort_values(
            ["group", "heads", "difference"], ascending=[True, True, False]
        )
    return table.to_dict("records")


def _sentences(
    analysis: Analysis,
) -> tuple[list[BaselineComparison], list[BaselineComparison]]:
    """What is told at once, and of many comparisons those without a verdict, largest first."""
    comparisons = list(analysis.comparisons)
    if len(comparisons) <= MANY:
        return comparisons, []
    decided = ("better", "worse", "equal", "depends on diverged runs")
    comparisons.sort(key=lambda c: -c.test.mean if c.test else float("inf"))
    told = [c for c in comparisons if c.conclusion.verdict in decided]
    return told, [c for c in comparisons if c.conclusion.verdict not in decided]


def headline(analysis: Analysis) -> str:
    """The whole study in one sentence."""
    verdicts = [comparison.conclusion.verdict for comparison in analysis.comparisons]
    if not verdicts:
        return "There is only the baseline: nothing to compare."
    if analysis.permission.standing != "confirmatory":
        return {
            "interim": "Not finished: estimates so far, and no verdict yet.",
            "descriptive": "Checkpoints were chosen on the test set: estimates, and no verdicts.",
            "exploratory": "Not the analysis that was planned: estimates, and no verdicts.",
        }[analysis.permission.standing]
    best = max(
        (c for c in analysis.comparisons if c.conclusion.verdict == "better" and c.test),
        key=lambda c: c.test.mean if c.test else 0.0,
        default=None,
    )
    total = len(verdicts)
    counts = {verdict: verdicts.count(verdict) for verdict in ("better", "worse", "equal")}
    if best is not None and best.test is not None:
        said = (
            f"{best.variant} beats its baseline by {tables.number(best.test.mean)} points "
            f"{analysis.settings.measure}" + _as_do(counts["better"] - 1)
        )
        if best.equivalence_p_holm < analysis.permission.level:
            said += f", which is less than the ±{analysis.settings.rope:g} that would matter"
    else:
        said = (
            f"None of the {total} variants is shown to beat its baseline"
            if total > 1
            else "The only variant is not shown to beat its baseline"
        )
    rest = []
    if counts["worse"]:
        rest.append(f"{counts['worse']} shown to be worse")
    if counts["equal"]:
        rest.append(
            f"{counts['equal']} shown to be practically equal (±{analysis.settings.rope:g})"
        )
    depending = verdicts.count("depends on diverged runs")
    if depending:
        rest.append(f"{depending} whose verdict depends on diverged runs")
    beside = verdicts.count("exploratory")
    if beside:
        rest.append(f"{beside} outside the planned comparisons")
    open_ones = total - sum(counts.values()) - depending - beside
    if open_ones:
        rest.append(f"{open_ones} undecided by this design")
    return f"{said}{'; ' if rest else ''}{', '.join(rest)}."


def _as_do(others: int) -> str:
    return f", as {'does' if others == 1 else 'do'} {counted(others, 'other')}" if others else ""


def _cost(gates: GateDiagnostics) -> dict[str, object]:
    return {
        "variant": gates.variant,
        "runs": gates.runs,
        "diverged": gates.diverged,
        "divergence": divergence_rate(gates.diverged, gates.runs),
        "diverged_at": ", ".join(str(step) for step in gates.diverged_at),
        "seconds": gates.seconds,
        "memory": gates.memory_bytes / MEMORY,
        "parameters": gates.parameter_count,
    }


def _runs(
    analysis: Analysis, results: Sequence[MemberResult], planned: Mapping[str, Member]
) -> list[RunLine]:
    hashes = {member: key for key, member in planned.items()}
    selection = analysis.settings.selection
    lines = []
    for result in results:
        counts = result.confusion(selection)
        key = hashes.get(result.member)
        diverged = result.outcome == "diverged"
        lines.append(
            RunLine(
                variant=result.variant.label,
                fold=result.fold,
                seed=result.seed,
                uar=POINTS * float(metrics.uar_from(counts)),
                war=POINTS * float(metrics.war_from(counts)),
                step=int(result.selected_step[selection]),
                outcome=f"diverged at step {result.diverged_at}" if diverged else "ok",
                file=f"results/{key}.npz" if key else "",
            )
        )
    return lines
