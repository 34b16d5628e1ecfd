"""The activations themselves: as they start, and as training left them."""

from typing import Any

from reports.analysis.analysis import Analysis
from reports.analysis.learnt import learnt_activations
from reports.figures.canvas import panels, rows_for
from reports.figures.figure import Drawing, Figure, design
from reports.figures.many_lines import SAID, draw_many
from reports.figures.style import GRID, INK, MUTED, PAGE, paper_style, styles_of

COLUMNS = 5


def draw(analysis: Analysis, onto: Any = None) -> Drawing:
    """One small panel per activation: dashed as initialised, thin lines as learnt, one per run,
    encoder and direction (bands where they are many).
    """
    shown, styles = learnt_activations(analysis), styles_of(analysis)
    rows, columns = rows_for(len(shown), COLUMNS)
    with paper_style():
        fig, grid = panels(onto, rows, columns, (PAGE, 1.45 * rows + 0.25), sharex=True)
        for axes in grid.flat[len(shown) :]:
            axes.set_axis_off()
        for axes, one in zip(grid.flat, shown, strict=False):
            colour = styles[one.variant].colour
            axes.axhline(0, color=GRID, lw=0.6)
            axes.axvline(0, color=GRID, lw=0.6)
            draw_many(axes, one.x, one.after, colour, lw=0.6)
            learnt = len(one.after) > 0
            dash = (0, (3, 2)) if learnt else "-"
            axes.plot(one.x, one.before, color=INK if learnt else colour, ls=dash, lw=1.1)
            axes.set_title(one.activation)
            said = f"{len(one.after)} learnt" if learnt else "fixed"
            at = {"transform": axes.transAxes, "va": "top", "fontsize": 6.5}
            axes.text(0.03, 0.97, said, color=MUTED, **at)
        for column in range(columns):
            lowest = grid[(len(shown) - 1 - column) // columns, column]
            lowest.set_xlabel("pre-activation")
            lowest.tick_params(axis="x", labelbottom=True)
    return fig, grid


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        "Candidate activations over their argument; dashed: as initialised, coloured: as learnt, "
        f"one line per run, encoder and direction ({SAID}). {design(analysis)}."
    )


ACTIVATIONS = Figure(
    "activations", "Candidate activations before and after training", draw, caption
)
