"""Lines of many runs in one panel: one by one, or as bands where they cannot be told apart."""

from typing import Any

import numpy as np

from reports.statistics.arrays import FloatArray

MOST_LINES = 60  # more cannot be told apart, and those of a large study take a minute to write
BANDS = ((0.05, 0.95, 0.15), (0.25, 0.75, 0.25))  # quantiles from, to; opacity
SAID = f"where they are more than {MOST_LINES}, bands: half and nine tenths of them"


def draw_many(axes: Any, x: FloatArray, lines: FloatArray, colour: str, *, lw: float) -> None:
    """Draw lines [line, point] over x [point] in thin lines, or as bands of their quantiles."""
    if len(lines) <= MOST_LINES:
        for line in lines:
            axes.plot(x, line, color=colour, lw=lw, alpha=0.45)
        return
    for low, high, opacity in BANDS:
        edges = np.nanquantile(lines, (low, high), axis=0)
        axes.fill_between(x, *edges, color=colour, alpha=opacity, lw=0)
