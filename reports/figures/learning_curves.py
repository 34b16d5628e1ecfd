"""Learning curves: mean over folds, with the interval over folds, never over seeds × folds."""

from typing import Any

from reports.analysis.analysis import Analysis
from reports.figures.canvas import panels
from reports.figures.figure import Drawing, Figure, design, percent
from reports.figures.style import PAGE, paper_style, styles_of
from reports.figures.telling import PANELS, telling_summaries, told_of

QUANTITIES = {"train_loss": "training loss", "dev_uar": "dev UAR, %"}


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """A panel per quantity (columns) and direction (rows), a line per variant with its band.

    Without a dev set there is no curve of its UAR.
    Variants that were evaluated at fewer points than the others are left out. None where nothing
    was evaluated.
    """
    told = {summary.variant for summary in telling_summaries(analysis, PANELS)}
    found = {(c.variant, c.name): c for c in analysis.curves if c.variant in told}
    if not found:
        return None
    most = max(len(curve.steps) for curve in analysis.curves)
    directions = {s.variant: s.direction for s in analysis.summaries}
    rows = list(dict.fromkeys(directions[variant] for variant, _ in found))
    styles = styles_of(analysis)
    quantities = dict(QUANTITIES)
    if "dev" not in analysis.gap.rules:
        del quantities["dev_uar"]
    with paper_style():
        size = (PAGE, 1.9 * len(rows) + 0.2)
        fig, grid = panels(onto, len(rows), len(quantities), size, sharex=True, sharey="col")
        for column, (name, title) in enumerate(quantities.items()):
            for axes, direction in zip(grid[:, column], rows, strict=True):
                for (variant, quantity), curve in found.items():
                    shown = quantity == name and directions[variant] == direction
                    if not shown or len(curve.steps) < most:
                        continue
                    style = styles[variant]
                    band = {"color": style.colour, "alpha": 0.12, "lw": 0}
                    axes.fill_between(curve.steps, curve.low, curve.high, **band)
                    line = {"color": style.colour, "ls": style.dash, "label": variant}
                    axes.plot(curve.steps, curve.mean, **line)
                axes.grid(axis="y")
                axes.margins(x=0.01)
                axes.set_title(f"{direction}: {title}" if len(rows) > 1 else title)
        for axes in grid[-1]:
            axes.set_xlabel("training step")
        for axes in grid[:, -1]:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig, grid


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        f"Mean over folds (seeds averaged first), band: corrected {percent(analysis)} interval "
        f"over folds. Diverged runs are left out.{told_of(analysis, PANELS)} {design(analysis)}."
    )


CURVES = Figure("curves", "Learning curves", draw, caption)
