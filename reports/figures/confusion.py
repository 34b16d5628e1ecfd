"""Confusion matrices: which class is taken for which, and what that changes to the baseline."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.figures.canvas import panels, rows_for
from reports.figures.figure import Drawing, Figure, chosen, design
from reports.figures.matrix import annotate, bare
from reports.figures.style import PAGE, paper_style
from reports.figures.telling import telling_summaries, told_of

COLUMNS = 5
MOST = 13  # comparisons: with two baselines, three rows of panels


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Row-normalised confusion matrices in percent, under each the change against its baseline in
    points; None without results.
    """
    place = {variant: i for i, variant in enumerate(analysis.variants)}
    matrices = analysis.confusion
    told = telling_summaries(analysis, MOST)
    shown = [s for s in told if np.isfinite(matrices[place[s.variant]]).any()]
    if not shown:
        return None
    own = np.array([matrices[place[s.variant]] for s in shown])
    blank = np.full(own[0].shape, np.nan)
    against = np.array([matrices[place[s.baseline]] if s.baseline else blank for s in shown])
    change = own - against
    reach = max(1.0, float(np.nanmax(np.abs(change))) if np.isfinite(change).any() else 1.0)
    blocks, columns = rows_for(len(shown), COLUMNS)
    side = PAGE / max(columns, 3)
    with paper_style():
        size = (side * columns, 2 * blocks * (side + 0.1))
        fig, grid = panels(onto, 2 * blocks, columns, size)
        for axes in grid.flat:
            axes.set_axis_off()
        for i, summary in enumerate(shown):
            block, column = divmod(i, columns)
            above, below = grid[2 * block, column], grid[2 * block + 1, column]
            above.set_axis_on()
            above.imshow(own[i], vmin=0, vmax=100, cmap="Blues")
            annotate(above, own[i], own[i] / 100, "{:.0f}")
            above.set_title(summary.variant)
            _classes(above, analysis.classes, column)
            if not np.isfinite(change[i]).any():
                at = {"transform": below.transAxes, "ha": "center", "va": "center"}
                below.text(0.5, 0.5, "baseline", fontsize=7, **at)
                continue
            below.set_axis_on()
            below.imshow(change[i], vmin=-reach, vmax=reach, cmap="PuOr")
            annotate(below, change[i], np.abs(change[i]) / reach, "{:+.0f}")
            below.set_title("− baseline", fontweight="normal", fontsize=7)
            _classes(below, analysis.classes, column)
    return fig, grid


def _classes(axes: Any, classes: Sequence[str], column: int) -> None:
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes if column == 0 else [""] * len(classes))
    if column == 0:
        axes.set_ylabel("truth")
    bare(axes)


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        "Share of each true class (row) taken for each class (column) in percent, pooled over "
        "folds and seeds, and below it the difference to the baseline in points; "
        f"{chosen(analysis)}.{told_of(analysis, MOST)} {design(analysis)}."
    )


CONFUSION = Figure("confusion", "Confusion matrices", draw, caption)
