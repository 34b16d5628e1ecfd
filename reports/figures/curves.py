"""Learning curves: mean over folds, with the interval over folds, never over seeds × folds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import PAGE, VariantStyle, paper_style


def learning_curves(
    labels: Sequence[str],
    steps: NDArray[np.float64],
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]],
    *,
    groups: Sequence[str],
    styles: Mapping[str, VariantStyle],
) -> tuple[Any, Any]:
    """A panel per quantity (columns) and group of variants (rows), a line per variant with its
    band.

    labels, groups: [variant]. steps: [point]. curves: axis label → (mean, low, high), each
    [variant, point]. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    rows = list(dict.fromkeys(groups))
    with paper_style():
        fig, grid = plt.subplots(
            len(rows),
            len(curves),
            figsize=(PAGE, 1.9 * len(rows) + 0.2),
            sharex=True,
            sharey="col",
            squeeze=False,
        )
        for column, (quantity, (mean, low, high)) in enumerate(curves.items()):
            for row, group in enumerate(rows):
                axes = grid[row, column]
                for i, label in enumerate(labels):
                    if groups[i] != group:
                        continue
                    style = styles[label]
                    axes.fill_between(steps, low[i], high[i], color=style.colour, alpha=0.12, lw=0)
                    axes.plot(steps, mean[i], color=style.colour, ls=style.dash, label=label)
                axes.grid(axis="y")
                axes.margins(x=0.01)
                axes.set_title(f"{group}: {quantity}" if len(rows) > 1 else quantity)
        for axes in grid[-1]:
            axes.set_xlabel("training step")
        for row in range(len(rows)):
            grid[row, -1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig, grid
