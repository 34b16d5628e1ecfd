"""Where a difference comes from: classes, styles (where known), lengths of test utterances."""

from typing import Any

from reports.analysis.analysis import Analysis
from reports.figures.figure import Drawing, Figure, design
from reports.figures.subset_matrix import draw_subsets, ringed


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Differences by class, style and length; None without a comparison."""
    return draw_subsets(analysis, ("class", "style", "length"), onto)


def caption(analysis: Analysis) -> str:
    """What is shown."""
    kinds = {subset.kind for subset in analysis.subsets}
    styles = "style and " if "style" in kinds else ""
    return (
        f"Difference to the baseline in points: recall of each class, UAR within each {styles}"
        f"length. {ringed(analysis)} {design(analysis)}."
    )


SUBSETS = Figure("subsets", "Where the difference comes from", draw, caption)
