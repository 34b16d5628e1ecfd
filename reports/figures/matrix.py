"""What figures that are matrices share: figures in the cells, no frame, labels of the rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DARK = 0.6  # cells darker than this share of the scale carry white figures


def bare(axes: Any) -> None:
    """Take ticks and frame away from a matrix."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def annotate(
    axes: Any, figures: NDArray[np.float64], shade: NDArray[np.float64], form: str
) -> None:
    """Write figures [row, column] into the cells, white where shade (0 … 1) is dark."""
    for row, column in np.ndindex(figures.shape):
        if np.isfinite(figures[row, column]):
            axes.text(
                column,
                row,
                _text(float(figures[row, column]), form),
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if shade[row, column] > DARK else "black",
            )


def _text(value: float, form: str) -> str:
    """A true minus sign, and no sign at a zero."""
    text = form.format(value)
    return form.replace("+", "").format(0.0) if float(text) == 0 else text.replace("-", "−")
