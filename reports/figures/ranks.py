"""Critical-difference diagram (Demšar, 2006): mean ranks, and bars over what is not told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import INK, PAGE, VariantStyle, paper_style


def rank_diagram(
    labels: Sequence[str],
    mean_ranks: NDArray[np.float64],
    groups: Sequence[Sequence[int]],
    critical_difference: float,
    *,
    styles: Mapping[str, VariantStyle],
) -> tuple[Any, Any]:
    """Ranks on an axis (1 is best, at the left), names alternating on both sides below it.

    labels, mean_ranks: [variant]. groups: indices of variants that one bar joins.
    critical_difference: in ranks. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    count = len(labels)
    order = np.argsort(mean_ranks)
    half = (count + 1) // 2
    bars = [group for group in groups if len(group) > 1]
    with paper_style():
        fig, axes = plt.subplots(figsize=(PAGE, 0.22 * half + 0.16 * len(bars) + 0.75))
        axes.plot([1, count], [0, 0], color=INK, lw=0.8)
        for tick in range(1, count + 1):
            axes.plot([tick, tick], [0, -0.25], color=INK, lw=0.6)
            axes.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize=7)
        axes.plot([1, 1 + critical_difference], [-1.6, -1.6], color=INK, lw=1.6)
        axes.text(1, -1.75, f"critical difference {critical_difference:.2f}", fontsize=7)
        for level, group in enumerate(bars):
            ends = mean_ranks[list(group)]
            y = 0.35 + 0.35 * level
            axes.plot([ends.min() - 0.05, ends.max() + 0.05], [y, y], color=INK, lw=2.2)
        base = 0.9 + 0.35 * len(bars)
        for place, i in enumerate(order):
            left = place < half
            y = base + 0.75 * (place if left else count - 1 - place)
            edge = 0.6 if left else count + 0.4
            colour = styles[labels[i]].colour
            axes.plot([mean_ranks[i], mean_ranks[i], edge], [0, y, y], color=colour, lw=0.8)
            text = (
                f"{labels[i]}  {mean_ranks[i]:.2f} "
                if left
                else f" {mean_ranks[i]:.2f}  {labels[i]}"
            )
            axes.text(edge, y, text, ha="right" if left else "left", va="center", fontsize=7)
        axes.set_ylim(base + 0.75 * half, -2.6)
        axes.set_xlim(-0.6, count + 1.6)
        axes.set_axis_off()
    return fig, axes
