"""Learnt activation parameters over training."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.analysis.gate_diagnostics import Trace
from reports.figures.canvas import panels, rows_for
from reports.figures.figure import Drawing, Figure, design
from reports.figures.many_lines import SAID, draw_many
from reports.figures.style import MUTED, PAGE, paper_style, styles_of
from reports.statistics.means import mean_of_known

COLUMNS = 4
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ"}


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """A panel per variant and parameter: a thin line per run, encoder and direction (bands where
    they are many), their mean thick, the initial value dotted. None where nothing is learnable.
    """
    found = [entry for entry in _traces(analysis) if entry[2][0].runs.size]
    if not found:
        return None
    most = max(len(traces[0].steps) for _, _, traces in found)
    found = [entry for entry in found if len(entry[2][0].steps) == most]
    styles = styles_of(analysis)
    rows, columns = rows_for(len(found), COLUMNS)
    with paper_style():
        fig, grid = panels(onto, rows, columns, (PAGE, 1.5 * rows + 0.2), sharex=True)
        for axes in grid.flat[len(found) :]:
            axes.set_axis_off()
        for axes, (variant, name, traces) in zip(grid.flat, found, strict=False):
            colour, steps = styles[variant].colour, traces[0].steps
            runs = np.concatenate([trace.runs for trace in traces])
            axes.axhline(traces[0].initial, color=MUTED, lw=0.7, ls=":")
            draw_many(axes, steps.astype(float), runs, colour, lw=0.5)
            axes.plot(steps, mean_of_known(runs, axis=0), color=colour, lw=1.6)
            axes.set_title(f"{variant}: {name}")
        for column in range(columns):
            lowest = grid[(len(found) - 1 - column) // columns, column]
            lowest.set_xlabel("training step")
            lowest.tick_params(axis="x", labelbottom=True)
    return fig, grid


def _traces(analysis: Analysis) -> Iterator[tuple[str, str, list[Trace]]]:
    """(variant, parameter, its traces of all encoders and directions)."""
    for gates in analysis.diagnostics:
        for site, name in dict.fromkeys((trace.site, trace.name) for trace in gates.traces):
            plain = GREEK.get(name, name)
            yield (
                gates.variant,
                plain if site == "candidate" else f"{site} {plain}",
                [t for t in gates.traces if (t.site, t.name) == (site, name)],
            )


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        f"Learnable activation parameters; thin: each run, encoder and direction ({SAID}), "
        f"thick: their mean, dotted: the initial value. {design(analysis)}."
    )


PARAMETERS = Figure("parameters", "Learnt parameters over training", draw, caption)
