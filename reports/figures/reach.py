"""How far back in time an error reaches."""

from collections import Counter
from typing import Any

import numpy as np

from activations.drawing import without_powers
from reports.analysis.analysis import Analysis
from reports.figures.canvas import panels
from reports.figures.figure import Drawing, Figure, design
from reports.figures.style import PAGE, paper_style, styles_of
from reports.figures.telling import PANELS, telling_summaries, told_of

KEYS = 3  # of the legend in one line


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Gradient norm of the loss with respect to the hidden state against the distance from a
    sequence's end, relative to distance 0, on a logarithmic axis, a panel per direction. None
    without diagnostics.
    """
    told = {summary.variant for summary in telling_summaries(analysis, PANELS)}
    known = [d for d in analysis.diagnostics if d.reach.size and np.isfinite(d.reach).any()]
    shown = [d for d in known if d.variant in told]
    if not shown:
        return None
    directions = {s.variant: s.direction for s in analysis.summaries}
    groups = list(dict.fromkeys(directions[gates.variant] for gates in shown))
    styles = styles_of(analysis)
    with paper_style():
        lines = -(-max(Counter(directions[one.variant] for one in shown).values()) // KEYS)
        fig, grid = panels(onto, 1, len(groups), (PAGE, 2.2 + 0.14 * lines), sharey=True)
        for axes, direction in zip(grid[0], groups, strict=True):
            for gates in shown:
                if directions[gates.variant] == direction:
                    style = styles[gates.variant]
                    line = {"color": style.colour, "ls": style.dash, "label": gates.variant}
                    axes.plot(np.arange(gates.reach.size), gates.reach, **line)
            axes.set_yscale("log")
            without_powers(axes.yaxis)
            axes.set_title(direction)
            axes.set_xlabel("distance from the end, pooled frames")
            axes.grid(axis="y")
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
            axes.legend(ncols=KEYS, fontsize=6, **below)
        grid[0, 0].set_ylabel("‖∂loss/∂h‖, relative")
    return fig, grid[0]


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        "Norm of the loss gradient with respect to the hidden state against the distance from the "
        "last frame, relative to distance 0; geometric mean over runs, encoders and "
        f"directions.{told_of(analysis, PANELS)} {design(analysis)}."
    )


REACH = Figure("reach", "How far back the error reaches", draw, caption)
