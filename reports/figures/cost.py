"""What a variant costs for what it scores."""

from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing, Figure, chosen, design
from reports.figures.style import MUTED, PAGE, marker_face, paper_style, styles_of
from reports.figures.telling import ROWS


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Score against training time, the Pareto front (no cheaper variant is as good) as a step line,
    its variants named, and all in a legend where they are no more than fit beside it; None for
    fewer than two variants.
    """
    seconds = {gates.variant: gates.seconds for gates in analysis.diagnostics}
    shown = [s for s in analysis.summaries if s.variant in seconds]
    if len(shown) < 2:
        return None
    cost = np.array([seconds[s.variant] for s in shown])
    score = np.array([s.uar[analysis.settings.selection].mean for s in shown])
    front = np.array(
        [not np.any((cost < c) & (score >= s)) for c, s in zip(cost, score, strict=True)]
    )
    styles, few = styles_of(analysis), len(shown) <= ROWS
    with paper_style():
        # the legend stands beside the axes: with many variants it needs the height
        fig, axes = canvas(onto, (PAGE, max(2.8, 0.145 * len(shown) + 0.5) if few else 4.5))
        order = np.flatnonzero(front)[np.argsort(cost[front])]
        axes.step(cost[order], score[order], where="post", color=MUTED, lw=0.9, zorder=1)
        for i, label in enumerate(summary.variant for summary in shown):
            style = styles[label]
            point = {"mfc": marker_face(style), "ms": 5, "mew": 1.1, "ls": "none", "label": label}
            axes.plot(cost[i], score[i], style.marker, color=style.colour, **point)
            if front[i]:
                beside = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 7}
                axes.annotate(label, (cost[i], score[i]), **beside)
        axes.set_xlabel("training time of one run, s (its share of the stack's time)")
        axes.set_ylabel("UAR, %")
        axes.grid()
        axes.margins(0.12)
        if few:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=6.5)
    return fig, axes


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        "UAR in percent against training time of one run; the line is the Pareto front, and its "
        f"variants are named; {chosen(analysis)}. {design(analysis)}."
    )


COST = Figure("cost", "Cost against score", draw, caption)
