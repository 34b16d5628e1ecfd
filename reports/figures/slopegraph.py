"""Per-fold slopegraph: does a variant beat its baseline in every fold, or in one lucky one?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from reports.analysis.analysis import Analysis
from reports.figures.canvas import panels, rows_for
from reports.figures.figure import Drawing, Figure, chosen, design
from reports.figures.style import (
    INK,
    MUTED,
    PAGE,
    VariantStyle,
    marker_face,
    paper_style,
    styles_of,
)
from reports.figures.telling import PANELS, telling_comparisons, told_of

UP = "#0072B2"
DOWN = "#D55E00"
COLUMNS = 4
NUMBER = 0.08  # height of a fold's number, as a share of the range of all scores


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """One small panel per variant: its baseline at the left, the variant at the right, one line per
    fold, seeds averaged; rising folds solid, falling ones dashed. None without a comparison.
    """
    means = {s.variant: s.score(analysis.settings).fold_means for s in analysis.summaries}
    pairs = [(c.variant, c.baseline) for c in telling_comparisons(analysis, PANELS) if c.folds]
    if not pairs:
        return None
    scores = np.concatenate([means[label] for pair in pairs for label in pair])
    room = NUMBER * float(np.nanmax(scores) - np.nanmin(scores))
    styles = styles_of(analysis)
    rows, columns = rows_for(len(pairs), COLUMNS)
    with paper_style():
        fig, grid = panels(onto, rows, columns, (PAGE, 1.55 * rows + 0.3), sharey=True)
        for axes in grid.flat[len(pairs) :]:
            axes.set_axis_off()
        for axes, (variant, baseline) in zip(grid.flat, pairs, strict=False):
            style = styles[variant]
            _lines(axes, means[baseline], means[variant], style, room)
            better = int(np.sum(means[variant] > means[baseline]))
            axes.set_title(variant, color=style.colour)
            axes.text(
                0.5,
                0.99,
                f"up in {better} of {len(analysis.folds)}",
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=6.5,
                color=MUTED,
            )
            axes.set_xlim(-0.28, 1.15)
            axes.set_xticks([0, 1], ["baseline", "variant"])
            axes.margins(y=0.15)
        for axes in grid[:, 0]:
            axes.set_ylabel(f"{analysis.settings.measure}, %")
    return fig, grid


def _lines(
    axes: Any,
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    style: VariantStyle,
    room: float,
) -> None:
    """A line per fold, numbered at the left; room: what a number takes of the axis, in points."""
    places = _apart(left, room)
    for fold, (low, high) in enumerate(zip(left, right, strict=True)):
        rises = high >= low
        dash = "-" if rises else (0, (3, 1.5))
        axes.plot([0, 1], [low, high], color=UP if rises else DOWN, ls=dash, lw=1)
        axes.plot(0, low, "o", color=INK, ms=3)
        axes.plot(1, high, style.marker, color=style.colour, mfc=marker_face(style), ms=3.5)
        if np.isfinite(low):
            axes.annotate(
                str(fold + 1),
                (0, places[fold]),
                xytext=(-5, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=6,
                color=MUTED,
            )


def _apart(values: NDArray[np.float64], room: float) -> NDArray[np.float64]:
    """Places nearest to values [n], least squares, of which no two are nearer than `room`."""
    places = values.copy()
    order = np.argsort(values)[: np.isfinite(values).sum()]  # NaN last
    if order.size:
        steps = room * np.arange(order.size)
        places[order] = optimize.isotonic_regression(values[order] - steps).x + steps
    return places


def caption(analysis: Analysis) -> str:
    """What is shown."""
    baselines = ", ".join(dict.fromkeys(c.baseline for c in analysis.comparisons))
    named = ", ".join(f"{i + 1} = {fold}" for i, fold in enumerate(analysis.folds))
    return (
        f"{analysis.settings.measure} in percent of each variant and its baseline, one line per "
        "fold (blue: up or level, orange and dashed: down), seeds averaged; "
        f"{chosen(analysis)}. Baseline: {baselines}. Test folds: {named}."
        f"{told_of(analysis, PANELS)} {design(analysis)}."
    )


SLOPEGRAPH = Figure("slopegraph", "Fold by fold", draw, caption)
