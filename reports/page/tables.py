r"""The table of a report: one row per variant, as data, LaTeX, Markdown and CSV.

- One DataFrame of plain numbers (points, p-values) is the source; the formats only write it.
- LaTeX is booktabs and siunitx, ready to \\input: numbers stay numbers in the source of the paper.
- Protocol, selection rule and n stand in every format: a table without them is not comparable.
- So does what keeps a reader from a wrong conclusion (synthetic speech, no verdicts, divergence):
  printed under the table in LaTeX and Markdown, for nobody reads a comment in a paper.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from activations.wording import counted
from bench.escapes import csv_cell
from bench.escapes import latex as latex_text
from bench.escapes import markdown as markdown_text
from reports.analysis.analysis import Analysis
from reports.analysis.comparisons import BaselineComparison
from reports.analysis.summaries import VariantSummary
from reports.statistics.conclusions import signed

MINUS = "\N{MINUS SIGN}"
_TESTED = {
    "session": "one session",
    "speaker": "one speaker",
    "group": "one group of speakers",
    "split": "the corpus's own test part",
}


def results_table(analysis: Analysis) -> pd.DataFrame:
    """One row per variant.

    Columns: variant, baseline, uar, uar_low, uar_high, uar_spread (over folds), uar_seed_spread,
    war, war_spread, oracle_uar, difference, low, high, p, p_adjusted, p_worse, p_equal, p_better,
    speakers_p (max-T adjusted; NaN where unreachable), detectable, wins, runs, diverged, missing,
    verdict. Points; NaN where a baseline or an unfinished study has none.
    """
    rows = [
        _row(
            summary,
            analysis.comparison(summary.variant),
            analysis.settings.selection,
            tested=analysis.permission.tested,
        )
        for summary in analysis.summaries
    ]
    return pd.DataFrame(rows)


def _row(
    summary: VariantSummary,
    comparison: BaselineComparison | None,
    selection: str,
    *,
    tested: bool,
) -> dict[str, object]:
    uar, war = summary.uar[selection], summary.war[selection]
    nan = math.nan
    test = comparison.test if comparison else None
    posterior = comparison.posterior if comparison else None
    flips = comparison.speakers if comparison else None
    effects = comparison.effects if comparison else None
    return {
        "variant": summary.variant,
        "baseline": summary.baseline or "",
        "uar": uar.mean,
        "uar_low": uar.interval.low if uar.interval else nan,
        "uar_high": uar.interval.high if uar.interval else nan,
        "uar_spread": uar.spread,
        "uar_seed_spread": uar.seed_spread,
        "war": war.mean,
        "war_spread": war.spread,
        "oracle_uar": summary.uar["oracle"].mean,
        "difference": test.mean if test else nan,
        "low": test.low if test else nan,
        "high": test.high if test else nan,
        "p": test.p if test and tested else nan,
        "p_adjusted": comparison.p_adjusted if comparison else nan,
        "p_worse": posterior.worse if posterior else nan,
        "p_equal": posterior.equal if posterior else nan,
        "p_better": posterior.better if posterior else nan,
        "speakers_p": flips.adjusted if flips and flips.reachable else nan,
        "detectable": comparison.detectable_in_family if comparison else nan,
        "wins": effects.wins if effects else nan,
        "runs": summary.runs,
        "diverged": summary.diverged,
        "missing": summary.missing,
        "verdict": comparison.conclusion.verdict if comparison else "baseline",
    }


def number(value: float, digits: int = 1) -> str:
    """A number for people: a dash for NaN, a true minus sign, no negative zero."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """[low, high] with signs, empty for NaN."""
    return f"[{signed(low)}, {signed(high)}]" if math.isfinite(low) else ""


def p_value(p: float) -> str:
    """A p-value alone: three decimals, never 0.000."""
    if not math.isfinite(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def design_line(analysis: Analysis) -> str:
    """What the table rests on, in one line: corpus, n, protocol, selection."""
    protocol = analysis.protocol
    parts = [
        f"corpus {analysis.corpus}{_synthetic(analysis)}",
        f"{counted(analysis.utterances, 'test utterance')} of "
        f"{counted(analysis.speakers, 'speaker')}",
        f"{counted(len(analysis.folds), 'fold')} (test: {_TESTED[protocol.test_unit]})",
        counted(len(analysis.seeds), "seed"),
        f"checkpoint: {analysis.settings.selection}",
    ]
    if not analysis.complete:
        parts.append(f"UNFINISHED: {counted(len(analysis.missing), 'run')} missing")
    return "; ".join(parts)


def _synthetic(analysis: Analysis) -> str:
    said = "synthetic" in analysis.corpus
    return " (synthetic speech)" if analysis.synthetic and not said else ""


def warnings(analysis: Analysis) -> list[str]:
    """Sentences without which the table would say more than the report does; none where it may."""
    said = []
    if analysis.synthetic:
        said.append("Synthetic speech: this says nothing about real speech.")
    if analysis.permission.why:
        said.append(analysis.permission.why)
    verdicts = [(c.variant, c.conclusion.verdict) for c in analysis.comparisons]
    if analysis.permission.standing == "confirmatory":
        beside = [variant for variant, verdict in verdicts if verdict == "exploratory"]
        if beside:
            said.append(
                f"Exploratory, outside the planned comparisons, and without a verdict: "
                f"{', '.join(beside)}."
            )
        depends = [
            variant for variant, verdict in verdicts if verdict == "depends on diverged runs"
        ]
        if depends:
            said.append(f"No verdict, for it depends on diverged runs: {', '.join(depends)}.")
    diverged = sum(summary.diverged for summary in analysis.summaries)
    if diverged:
        said.append("Diverged runs count with the score of a constant answer.")
    return said


def markdown(analysis: Analysis) -> str:
    """The table as Markdown, with its design line."""
    head = (
        "Variant",
        "UAR ± sd",
        "WAR ± sd",
        f"Δ {analysis.settings.measure}",
        f"{analysis.settings.confidence:.0%} interval",
        "p (family)",
        "P(worse / equal / better)",
    )
    rows = [
        (
            _marked(markdown_text(row["variant"]), row["diverged"]),
            f"{number(row['uar'])} ± {number(row['uar_spread'])}",
            f"{number(row['war'])} ± {number(row['war_spread'])}",
            signed(row["difference"]) if math.isfinite(row["difference"]) else "baseline",
            interval(row["low"], row["high"]),
            p_value(row["p_adjusted"]),
            _chances(row["p_worse"], row["p_equal"], row["p_better"]),
        )
        for row in results_table(analysis).to_dict("records")
    ]
    lines = [" | ".join(head), "|".join([":--"] + ["--:"] * (len(head) - 1))]
    lines += [" | ".join(row) for row in rows]
    body = "\n".join(f"| {line} |" if "--" not in line[:3] else f"|{line}|" for line in lines)
    below = [f"{design_line(analysis)}.", *warnings(analysis)]
    return f"{body}\n\n{' '.join(map(markdown_text, below))}\n"


def _marked(variant: str, diverged: int) -> str:
    return f"{variant} ({diverged} diverged)" if diverged else variant


def _chances(worse: float, equal: float, better: float) -> str:
    if not math.isfinite(worse):
        return "–"
    return " / ".join(f"{value:.2f}" for value in (worse, equal, better))


def csv(analysis: Analysis) -> str:
    """Every column of `results_table`, full precision."""
    table = results_table(analysis)
    for name in ("variant", "baseline"):
        table[name] = table[name].map(csv_cell)
    text: str = table.to_csv(index=False)
    return text


def latex(analysis: Analysis) -> str:
    r"""A booktabs table with siunitx columns, to \input; needs \usepackage{booktabs,siunitx}."""
    confidence = f"{analysis.settings.confidence:.0%}".replace("%", r"\,\%")
    lines = [
        f"% {latex_text(design_line(analysis))}",
        r"\begin{tabular}{l S[table-format=2.1] S[table-format=2.1] S[table-format=2.1]"
        r" S[table-format=2.1] S[table-format=+2.1, retain-explicit-plus] c c}",
        r"\toprule",
        r"Variant & {UAR} & {$\pm$} & {WAR} & {$\pm$} & {$\Delta$"
        + analysis.settings.measure
        + r"} & {"
        + confidence
        + r" interval} & {$p_{\mathrm{family}}$} \\",
        r"\midrule",
    ]
    lines += [_latex_row(row) for row in results_table(analysis).to_dict("records")]
    lines.append(r"\bottomrule")
    lines += [_latex_note(sentence) for sentence in warnings(analysis)]
    return "\n".join([*lines, r"\end{tabular}", ""])


def _latex_note(sentence: str) -> str:
    return rf"\multicolumn{{8}}{{p{{0.95\linewidth}}}}{{\footnotesize {latex_text(sentence)}}} \\"


def _latex_row(row: dict[Hashable, Any]) -> str:
    def cell(name: str, form: str = ".1f") -> str:
        value = float(str(row[name]))
        return f"{value:{form}}" if math.isfinite(value) else "{--}"

    low, high = cell("low", "+.1f"), cell("high", "+.1f")
    span = "{--}" if low == "{--}" else rf"$[\num{{{low}}}, \num{{{high}}}]$"
    p = float(str(row["p_adjusted"]))
    shown = "{--}" if not math.isfinite(p) else r"$<0.001$" if p < 0.001 else f"{p:.3f}"
    cells: Sequence[str] = (
        latex_text(_marked(str(row["variant"]), row["diverged"])),
        cell("uar"),
        cell("uar_spread"),
        cell("war"),
        cell("war_spread"),
        cell("difference", "+.1f"),
        span,
        shown,
    )
    return " & ".join(cells) + r" \\"
