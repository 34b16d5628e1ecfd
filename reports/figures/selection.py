"""The oracle's gift: the same training runs, scored by three rules of choosing a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import GRID, MUTED, PAGE, VariantStyle, paper_style

RULES = (("last", "|", 7.0), ("dev", "o", 5.0), ("oracle", "*", 7.5))


def selection_rules(
    labels: Sequence[str],
    scores: Mapping[str, NDArray[np.float64]],
    *,
    styles: Mapping[str, VariantStyle],
    metric: str = "UAR, %",
) -> tuple[Any, Any]:
    """One row per variant: score of the last checkpoint, of the best on dev, of the best on test.

    labels: [variant]. scores: `last`, `dev`, `oracle` → [variant], percent. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    with paper_style():
        fig, axes = plt.subplots(figsize=(PAGE, 0.21 * len(labels) + 0.85))
        for y, label in enumerate(labels):
            colour = styles[label].colour
            axes.plot([scores["dev"][y], scores["oracle"][y]], [y, y], color=colour, lw=1.2)
            for rule, marker, size in RULES:
                face = "white" if rule == "dev" else colour
                axes.plot(scores[rule][y], y, marker, color=colour, mfc=face, ms=size, mew=1.2)
            axes.axhline(y, color=GRID, lw=0.4, zorder=0)
        for rule, marker, size in RULES:
            face = "white" if rule == "dev" else MUTED
            text = {
                "last": "last step",
                "dev": "best on dev",
                "oracle": "best on test (oracle)",
            }[rule]
            axes.plot(
                [], [], marker, color=MUTED, mfc=face, ms=size, mew=1.2, ls="none", label=text
            )
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlabel(metric)
    return fig, axes
