"""Speaker by speaker: does a variant gain with every voice?"""

from typing import Any

from reports.analysis.analysis import Analysis
from reports.figures.figure import Drawing, Figure, chosen, design
from reports.figures.subset_matrix import draw_subsets, ringed


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Differences by speaker; None without a comparison."""
    return draw_subsets(analysis, ("speaker",), onto)


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        "Difference of UAR to the baseline in points on each speaker's utterances; "
        f"{chosen(analysis)}. {ringed(analysis)} {design(analysis)}."
    )


SPEAKERS = Figure("speakers", "Speaker by speaker", draw, caption)
