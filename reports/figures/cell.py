"""Inside the cell: gates, dead units, and how far back in time the error reaches."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import PAGE, VariantStyle, marker_face, paper_style


def gate_diagnostics(
    labels: Sequence[str],
    quantities: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    styles: Mapping[str, VariantStyle],
) -> tuple[Any, Any]:
    """A dot plot per quantity side by side: mean over folds, and every fold as a thin tick.

    labels: [variant]. quantities: axis label → (mean [variant], folds [variant, fold]). Returns
    fig, axes.
    """
    import matplotlib.pyplot as plt

    with paper_style():
        fig, row = plt.subplots(
            1, len(quantities), figsize=(PAGE, 0.2 * len(labels) + 0.75), sharey=True, squeeze=False
        )
        for axes, (quantity, (mean, folds)) in zip(row[0], quantities.items(), strict=True):
            for y, label in enumerate(labels):
                style = styles[label]
                axes.plot(
                    folds[y],
                    np.full(folds[y].shape, y),
                    "|",
                    color=style.colour,
                    ms=6,
                    mew=0.6,
                    alpha=0.6,
                )
                axes.plot(
                    mean[y],
                    y,
                    style.marker,
                    color=style.colour,
                    mfc=marker_face(style),
                    ms=4.5,
                    mew=1.1,
                )
            axes.set_title(quantity, fontweight="normal")
            axes.grid(axis="both")
            axes.margins(x=0.12)
            axes.tick_params(axis="y", length=0)
        row[0, 0].set_yticks(range(len(labels)), labels)
        row[0, 0].set_ylim(len(labels) - 0.5, -0.5)
    return fig, row[0]


def error_reach(
    labels: Sequence[str],
    distance: NDArray[np.float64],
    norm: NDArray[np.float64],
    *,
    groups: Sequence[str],
    styles: Mapping[str, VariantStyle],
) -> tuple[Any, Any]:
    """Gradient norm of the loss with respect to the hidden state, against the distance from a
    sequence's end.

    labels, groups: [variant]. distance: [step], in pooled frames. norm: [variant, step], relative
    to distance 0; drawn on a logarithmic axis, a panel per group. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys(groups))
    with paper_style():
        fig, row = plt.subplots(1, len(panels), figsize=(PAGE, 2.4), sharey=True, squeeze=False)
        for axes, panel in zip(row[0], panels, strict=True):
            for i, label in enumerate(labels):
                if groups[i] == panel:
                    style = styles[label]
                    axes.plot(distance, norm[i], color=style.colour, ls=style.dash, label=label)
            axes.set_yscale("log")
            axes.set_title(panel)
            axes.set_xlabel("distance from the end, pooled frames")
            axes.grid(axis="y")
            axes.legend(ncols=2, fontsize=6)
        row[0, 0].set_ylabel("‖∂loss/∂h‖, relative")
    return fig, row[0]
