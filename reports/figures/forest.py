"""Forest plot: the difference of every variant to its baseline, with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.analysis.analysis import Analysis
from reports.analysis.comparisons import BaselineComparison
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing, Figure, chosen, design, percent
from reports.figures.style import (
    BAND,
    GRID,
    INK,
    MUTED,
    PAGE,
    VariantStyle,
    marker_face,
    paper_style,
    styles_of,
)
from reports.figures.telling import ROWS, telling_comparisons, told_of
from reports.statistics.conclusions import p_text, signed
from reports.statistics.corrected_t import TTest

EXPLORATORY, DEPENDS, DAGGER = "exploratory", "depends on diverged runs", "\N{DAGGER}"


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """A row per variant, grouped by baseline; None without a comparison.

    A large family is sorted by its differences and shows those that say most.
    """
    if not analysis.comparisons:
        return None
    directions = {s.variant: s.direction for s in analysis.summaries}
    shown = telling_comparisons(analysis, ROWS)
    return draw_rows(
        [c.variant for c in shown],
        [c.test for c in shown],
        groups=[f"{directions[c.variant]} − {c.baseline}" for c in shown],
        notes=[_note(c) for c in shown],
        marks=_marks(shown),
        styles=styles_of(analysis),
        rope=analysis.settings.rope,
        confidence=percent(analysis),
        baseline="the baseline above each group",
        measure=analysis.settings.measure,
        floor=analysis.noise.averaged if analysis.noise else None,
        onto=onto,
    )


def _note(comparison: BaselineComparison) -> str:
    if comparison.test is None:
        return "unfinished"
    verdict = comparison.conclusion.verdict
    if not np.isfinite(comparison.p_adjusted):
        return verdict
    p = p_text(comparison.p_adjusted)
    return {EXPLORATORY: f"({p})", DEPENDS: f"{p} {DAGGER}"}.get(verdict, p)


def _marks(shown: Sequence[BaselineComparison]) -> str:
    """What marks a p that carries no verdict, for a figure travels without its page."""
    there = {comparison.conclusion.verdict for comparison in shown}
    said = {EXPLORATORY: f"p in brackets: {EXPLORATORY}", DEPENDS: f"{DAGGER}: {DEPENDS}"}
    return ", ".join(mark for verdict, mark in said.items() if verdict in there)


def caption(analysis: Analysis) -> str:
    """What is shown."""
    rules = dict.fromkeys(family.rule for family in analysis.families)
    return (
        f"Difference of {analysis.settings.measure} to the baseline in points, with "
        f"{percent(analysis)} interval of the "
        f"{' and the '.join(rules)} t-test and p adjusted over the family; {chosen(analysis)}. "
        f"Grey: the region of practical equivalence, ±{analysis.settings.rope:g} points."
        f"{_floor(analysis)}{told_of(analysis, ROWS)} "
        f"{design(analysis)}."
    )


def _floor(analysis: Analysis) -> str:
    if analysis.noise is None:
        return ""
    return (
        " Dashed: the noise floor, how far a variant lies from itself with other seeds "
        f"({percent(analysis)} of the time, as many seeds)."
    )


FOREST = Figure("forest", "Difference to the baseline", draw, caption)


def draw_rows(
    labels: Sequence[str],
    tests: Sequence[TTest | None],
    *,
    groups: Sequence[str],
    notes: Sequence[str],
    styles: Mapping[str, VariantStyle],
    rope: float,
    confidence: str,
    baseline: str,
    measure: str = "UAR",
    floor: float | None = None,
    marks: str = "",
    onto: Any = None,
) -> Drawing:
    """One row per variant under a heading per group, the ROPE as a band, the figures at the right.

    labels, tests, groups, notes: [variant], the variant, its difference in points (None shows the
    note alone), the heading it stands under (rows of a group lie together), and the text at the
    right (p, say). measure: what differs. rope: half width of the region of practical equivalence;
    floor: of the noise floor, if any. marks: what signs in the notes mean. Returns fig, axes.
    """
    headings = list(dict.fromkeys(groups))
    estimate, low, high = (
        np.array([getattr(test, name) if test else np.nan for test in tests])
        for name in ("mean", "low", "high")
    )
    reach = _reach(low, high, max(rope, 0.55 * floor if floor else 0.0))
    rows = len(labels) + len(headings)
    with paper_style():
        fig, axes = canvas(onto, (PAGE, 0.2 * rows + 0.75))
        beside = axes.get_yaxis_transform()  # x in the axes, y in the data
        axes.axvspan(-rope, rope, color=BAND, lw=0)
        axes.axvline(0, color=INK, lw=0.8)
        for end in () if floor is None else (-floor, floor):
            axes.axvline(end, color=MUTED, lw=0.7, ls=(0, (4, 3)))
        y = 0.0
        ticks: list[float] = []
        names: list[str] = []
        for heading in headings:
            axes.text(
                -0.02, y, heading, transform=beside, ha="right", va="center", fontweight="bold"
            )
            y += 1
            for i in [i for i, group in enumerate(groups) if group == heading]:
                ticks.append(y)
                names.append(labels[i])
                _interval(axes, y, estimate[i], low[i], high[i], styles[labels[i]])
                said = _figures(estimate[i], low[i], high[i])
                axes.text(1.02, y, said, transform=beside, va="center", fontsize=7)
                axes.text(1.29, y, notes[i], transform=beside, va="center", fontsize=7)
                y += 1
        head = f"difference [{confidence} interval]"
        axes.text(1.02, -0.9, head, transform=beside, va="center", fontsize=7, color=MUTED)
        axes.set_yticks(ticks, names)
        axes.set_ylim(y - 0.4, -1.3)
        axes.set_xlim(-reach, reach)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(
            f"difference to {baseline}, points of {measure}   (grey: within ±{rope:g}, practically "
            f"equal{'; dashed: noise floor' if floor else ''})" + (f"\n{marks}" if marks else "")
        )
    return fig, axes


def _reach(low: NDArray[np.float64], high: NDArray[np.float64], rope: float) -> float:
    """Half width of the axis, in points."""
    ends = np.concatenate([low, high])
    ends = ends[np.isfinite(ends)]
    return max(2.0 * rope, 1.08 * float(np.max(np.abs(ends))) if ends.size else 1.0)


def _figures(estimate: float, low: float, high: float) -> str:
    if not np.isfinite(estimate):
        return "–"
    if not np.isfinite(low):
        return signed(estimate)
    return f"{signed(estimate)} [{signed(low)}, {signed(high)}]"


def _interval(
    axes: Any, y: float, estimate: float, low: float, high: float, style: VariantStyle
) -> None:
    if np.isfinite(low):
        axes.plot([low, high], [y, y], color=style.colour, lw=1.4, solid_capstyle="butt")
    if np.isfinite(estimate):
        face = marker_face(style)
        axes.plot(estimate, y, style.marker, color=style.colour, mfc=face, ms=5, mew=1.1)
    axes.axhline(y, color=GRID, lw=0.4, zorder=0)
