"""Per-fold slopegraph: does a variant beat its baseline in every fold, or in one lucky one?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import INK, MUTED, PAGE, VariantStyle, marker_face, paper_style

UP = "#0072B2"
DOWN = "#D55E00"


def slopegraph(
    labels: Sequence[str],
    scores: NDArray[np.float64],
    baseline_scores: NDArray[np.float64],
    *,
    folds: Sequence[str],
    baseline: str,
    styles: Mapping[str, VariantStyle],
    metric: str = "UAR, %",
    columns: int = 4,
) -> tuple[Any, Any]:
    """One small panel per variant: its baseline at the left, the variant at the right, one line per
    fold.

    labels: [variant]. scores, baseline_scores: [variant, fold], in percent, seeds averaged; each
    row of baseline_scores is what that variant is compared with. Rising folds are solid, falling
    ones dashed. Folds are named once, in the first panel, by their number. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    columns = min(columns, max(1, len(labels)))
    rows = -(-len(labels) // columns)
    with paper_style():
        fig, grid = plt.subplots(
            rows, columns, figsize=(PAGE, 1.55 * rows + 0.3), sharey=True, squeeze=False
        )
        for axes in grid.flat[len(labels) :]:
            axes.set_axis_off()
        for i, (axes, label) in enumerate(zip(grid.flat, labels, strict=False)):
            style = styles[label]
            for fold, (left, right) in enumerate(zip(baseline_scores[i], scores[i], strict=True)):
                rises = right >= left
                axes.plot(
                    [0, 1],
                    [left, right],
                    color=UP if rises else DOWN,
                    ls="-" if rises else (0, (3, 1.5)),
                    lw=1,
                )
                axes.plot(0, left, "o", color=INK, ms=3)
                axes.plot(
                    1, right, style.marker, color=style.colour, mfc=marker_face(style), ms=3.5
                )
                if np.isfinite(left):
                    axes.annotate(
                        str(fold + 1),
                        (0, left),
                        xytext=(-5, 0),
                        textcoords="offset points",
                        ha="right",
                        va="center",
                        fontsize=6,
                        color=MUTED,
                    )
            better = int(np.sum(scores[i] > baseline_scores[i]))
            axes.set_title(label, color=style.colour)
            axes.text(
                0.5,
                0.99,
                f"up in {better} of {len(folds)}",
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=6.5,
                color=MUTED,
            )
            axes.set_xlim(-0.28, 1.15)
            axes.set_xticks([0, 1], ["baseline", "variant"])
            axes.margins(y=0.15)
        for axes in grid[:, 0]:
            axes.set_ylabel(metric)
        named = ", ".join(f"{i + 1} = {fold}" for i, fold in enumerate(folds))
        fig.supxlabel(f"baseline: {baseline}; test fold {named}", fontsize=7, color=MUTED)
    return fig, grid
