"""Inside the cell: saturated gates, dead units, size of the state."""

from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.figures.canvas import panels
from reports.figures.figure import Drawing, Figure, design
from reports.figures.style import PAGE, marker_face, paper_style, styles_of
from reports.figures.telling import ROWS, telling_summaries, told_of

# quantity of the diagnostics, title, factor
QUANTITIES = (
    ("update gate above 0.95", "update gate\n> 0.95, %", 100.0),
    ("reset gate below 0.05", "reset gate\n< 0.05, %", 100.0),
    ("dead candidate units", "dead units,\n%", 100.0),
    ("norm of h", "‖h‖/√H", 1.0),
    ("steps back to a tenth", "reach,\nframes", 1.0),
)


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """A dot plot per quantity side by side: mean over folds, and every fold as a thin tick.

    None without diagnostics.
    """
    names = [name for name, _, _ in QUANTITIES]
    found = {d.variant: d for d in analysis.diagnostics}
    told = [found[s.variant] for s in telling_summaries(analysis, ROWS) if s.variant in found]
    shown = [d for d in told if all(name in d.quantities for name in names)]
    if not shown:
        return None
    styles = styles_of(analysis)
    with paper_style():
        size = (PAGE, 0.2 * len(shown) + 0.75)
        fig, grid = panels(onto, 1, len(QUANTITIES), size, sharey=True)
        for axes, (name, title, factor) in zip(grid[0], QUANTITIES, strict=True):
            for y, gates in enumerate(shown):
                style, quantity = styles[gates.variant], gates.quantities[name]
                at = np.full(quantity.folds.shape, y)
                tick = {"ms": 6, "mew": 0.6, "alpha": 0.6}
                axes.plot(factor * quantity.folds, at, "|", color=style.colour, **tick)
                dot = {"mfc": marker_face(style), "ms": 4.5, "mew": 1.1}
                axes.plot(factor * quantity.mean, y, style.marker, color=style.colour, **dot)
            axes.set_title(title, fontweight="normal")
            axes.grid(axis="both")
            axes.margins(x=0.12)
            if not any(gates.quantities[name].folds.any() for gates in shown):
                axes.set_xlim(-0.12, 1)  # all are 0: no axis of a tenth below and above it
            axes.tick_params(axis="y", length=0)
        grid[0, 0].set_yticks(range(len(shown)), [gates.variant for gates in shown])
        grid[0, 0].set_ylim(len(shown) - 0.5, -0.5)
    return fig, grid[0]


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        "Mean over folds, ticks: folds (runs, encoders and directions averaged): saturated gates, "
        "candidate units that never move, size of the state, and the distance in pooled frames at "
        f"which an error has fallen to a tenth.{told_of(analysis, ROWS)} {design(analysis)}."
    )


GATES = Figure("gates", "Inside the cell", draw, caption)
