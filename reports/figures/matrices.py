"""Matrices: who is probably better than whom, and which class is taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import COLUMN, PAGE, paper_style

DARK = 0.6  # cells darker than this share of the scale carry white figures


def better_matrix(
    labels: Sequence[str], probability: NDArray[np.float64], *, rope: float
) -> tuple[Any, Any]:
    """P(row better than column by more than the ROPE), as a matrix of whole percents.

    labels: [variant]. probability: [variant, variant] in 0…1, NaN on the diagonal. rope: in points.
    Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    size = min(PAGE, 1.6 + 0.33 * len(labels))
    with paper_style():
        fig, axes = plt.subplots(figsize=(max(COLUMN, size), max(2.6, size * 0.86)))
        image = axes.imshow(probability, vmin=0, vmax=1, cmap="Blues")
        annotate(axes, probability * 100, probability, "{:.0f}")
        axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        bare(axes)
        bar = fig.colorbar(image, ax=axes, shrink=0.7, ticks=[0, 0.5, 1])
        bar.outline.set_visible(False)
        bar.set_label(f"P(row better than column by > {rope:g} points)", fontsize=7)
    return fig, axes


def confusion_matrices(
    labels: Sequence[str],
    confusion: NDArray[np.float64],
    difference: NDArray[np.float64],
    *,
    classes: Sequence[str],
    columns: int = 5,
) -> tuple[Any, Any]:
    """Row-normalised confusion matrices in percent, and under each the change against its baseline
    in points.

    labels: [variant]. confusion, difference: [variant, truth, prediction], percent; a difference
    that is all NaN (the baseline itself) is left blank. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    columns = min(columns, len(labels))
    blocks = -(-len(labels) // columns)
    reach = max(1.0, float(np.nanmax(np.abs(difference))) if np.isfinite(difference).any() else 1.0)
    side = PAGE / max(columns, 3)
    with paper_style():
        fig, grid = plt.subplots(
            2 * blocks, columns, figsize=(side * columns, 2 * blocks * (side + 0.1)), squeeze=False
        )
        for axes in grid.flat:
            axes.set_axis_off()
        for i, label in enumerate(labels):
            block, column = divmod(i, columns)
            above, below = grid[2 * block, column], grid[2 * block + 1, column]
            above.set_axis_on()
            above.imshow(confusion[i], vmin=0, vmax=100, cmap="Blues")
            annotate(above, confusion[i], confusion[i] / 100, "{:.0f}")
            above.set_title(label)
            _classes(above, classes, column)
            if not np.isfinite(difference[i]).any():
                below.text(
                    0.5,
                    0.5,
                    "baseline",
                    transform=below.transAxes,
                    ha="center",
                    va="center",
                    fontsize=7,
                )
                continue
            below.set_axis_on()
            below.imshow(difference[i], vmin=-reach, vmax=reach, cmap="PuOr")
            annotate(below, difference[i], np.abs(difference[i]) / reach, "{:+.0f}")
            below.set_title("− baseline", fontweight="normal", fontsize=7)
            _classes(below, classes, column)
    return fig, grid


def _classes(axes: Any, classes: Sequence[str], column: int) -> None:
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes if column == 0 else [""] * len(classes))
    if column == 0:
        axes.set_ylabel("truth")
    bare(axes)


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
    """A true minus sign, and no negative zero."""
    text = form.format(value)
    return form.format(0.0) if float(text) == 0 else text.replace("-", "−")
