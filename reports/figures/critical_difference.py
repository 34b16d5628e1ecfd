"""Critical-difference diagram (Demšar, 2006): mean ranks, and bars over what is not told apart."""

from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing, Figure, design
from reports.figures.style import INK, PAGE, paper_style, styles_of
from reports.figures.telling import ROWS
from reports.statistics.arrays import IntArray
from reports.statistics.ranks import Ranks

TICKS = 12  # numbers on the axis at most


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Ranks on an axis (1 is best, at the left), names alternating on both sides below it.

    Of many variants the best and the worst are named. None where ranks cannot reach significance.
    """
    ranks = analysis.ranks
    if ranks is None or not ranks.reachable:
        return None
    count = len(analysis.variants)
    named = _named(ranks)
    half = (len(named) + 1) // 2
    bars = [group for group in ranks.groups if len(group) > 1]
    base = 0.9 + 0.35 * len(bars)
    with paper_style():
        fig, axes = canvas(onto, (PAGE, 0.22 * half + 0.16 * len(bars) + 0.75))
        _scale(axes, count, ranks.critical_difference)
        for level, group in enumerate(bars):
            ends = ranks.mean_ranks[list(group)]
            y = 0.35 + 0.35 * level
            axes.plot([ends.min() - 0.05, ends.max() + 0.05], [y, y], color=INK, lw=2.2)
        _names(axes, analysis, ranks, named, base)
        axes.set_ylim(base + 0.75 * half, -2.6)
        axes.set_xlim(-0.6, count + 1.6)
        axes.set_axis_off()
    return fig, axes


def _scale(axes: Any, count: int, critical_difference: float) -> None:
    axes.plot([1, count], [0, 0], color=INK, lw=0.8)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if count <= TICKS * s)
    for tick in sorted({1, *range(step, count + 1, step)}):
        axes.plot([tick, tick], [0, -0.25], color=INK, lw=0.6)
        axes.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize=7)
    axes.plot([1, 1 + critical_difference], [-1.6, -1.6], color=INK, lw=1.6)
    axes.text(1, -1.75, f"critical difference {critical_difference:.2f}", fontsize=7)


def _named(ranks: Ranks) -> IntArray:
    """Places of the variants that are named, best first: of many, both ends."""
    order: IntArray = np.argsort(ranks.mean_ranks)
    return order if order.size <= ROWS else np.r_[order[: ROWS // 2], order[-ROWS // 2 :]]


def _names(axes: Any, analysis: Analysis, ranks: Ranks, named: IntArray, base: float) -> None:
    """Each named variant with a line to its rank: the better half at the left."""
    styles, count = styles_of(analysis), len(analysis.variants)
    half = (named.size + 1) // 2
    for place, i in enumerate(named):
        left, rank, label = place < half, ranks.mean_ranks[i], analysis.variants[i]
        y = base + 0.75 * (place if left else named.size - 1 - place)
        edge = 0.6 if left else count + 0.4
        axes.plot([rank, rank, edge], [0, y, y], color=styles[label].colour, lw=0.8)
        text = f"{label}  {rank:.2f} " if left else f" {rank:.2f}  {label}"
        axes.text(edge, y, text, ha="right" if left else "left", va="center", fontsize=7)


def caption(analysis: Analysis) -> str:
    """What is shown."""
    count = len(analysis.variants)
    ends = f" Of {count} variants the {ROWS // 2} best and worst are named." if count > ROWS else ""
    return (
        "Critical-difference diagram of mean ranks over folds (Friedman, Nemenyi); a picture, not "
        f"what the conclusions rest on.{ends} {design(analysis)}."
    )


RANKS = Figure("ranks", "Mean ranks", draw, caption)
