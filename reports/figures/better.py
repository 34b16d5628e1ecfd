"""Matrix of probabilities: which variant is probably better than which, by more than the ROPE."""

from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing, Figure, chosen, design
from reports.figures.matrix import annotate, bare
from reports.figures.style import COLUMN, PAGE, paper_style
from reports.figures.telling import PANELS, telling_summaries, told_of


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """P(row better than column by more than the ROPE), in percents; None for a lone variant."""
    labels = [summary.variant for summary in telling_summaries(analysis, PANELS)]
    places = [analysis.variants.index(label) for label in labels]
    probability = analysis.probability_relevant[np.ix_(places, places)]
    if len(labels) < 2 or not np.isfinite(probability).any():
        return None
    np.fill_diagonal(probability, np.nan)
    size = min(PAGE, 1.6 + 0.33 * len(labels))
    with paper_style():
        fig, axes = canvas(onto, (max(COLUMN, size), max(2.6, size * 0.86)))
        image = axes.imshow(probability, vmin=0, vmax=1, cmap="Blues")
        annotate(axes, probability * 100, probability, "{:.0f}")
        axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        bare(axes)
        bar = fig.colorbar(image, ax=axes, shrink=0.7, ticks=[0, 0.5, 1])
        bar.outline.set_visible(False)
        rope = analysis.settings.rope
        bar.set_label(f"P(row better than column by > {rope:g} {_points(rope)})", fontsize=7)
    return fig, axes


def _points(count: float) -> str:
    return "point" if count == 1 else "points"


def caption(analysis: Analysis) -> str:
    """What is shown."""
    rope = analysis.settings.rope
    return (
        "Bayesian correlated t-test: probability in percent that the row's variant is better than "
        f"the column's by more than {rope:g} {_points(rope)} of "
        f"{analysis.settings.measure}, of each pair by itself; {chosen(analysis)}."
        f"{told_of(analysis, PANELS)} "
        f"{design(analysis)}."
    )


BETTER = Figure("better", "Probability of being better", draw, caption)
