"""Where a difference comes from: classes, speaking style and length of the test utterances."""

from typing import Any

from reports.analysis.analysis import Analysis
from reports.figures.figure import Drawing, Figure, design
from reports.figures.subset_matrix import draw_subsets, ringed


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Differences by class, style and length; None without a comparison."""
    return draw_subsets(analysis, ("class", "style", "length"), onto)


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        "Difference to the baseline in points: recall of each class, UAR within each style and "
        f"length. {ringed(analysis)} {design(analysis)}."
    )


SUBSETS = Figure("subsets", "Where the difference comes from", draw, caption)
