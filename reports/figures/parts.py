"""Where a difference comes from: variants against parts of the test utterances."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.matrices import annotate, bare
from reports.figures.style import MUTED, PAGE, paper_style


def part_matrix(
    labels: Sequence[str],
    parts: Sequence[str],
    difference: NDArray[np.float64],
    clear: NDArray[np.bool_],
    *,
    groups: Sequence[str],
) -> tuple[Any, Any]:
    """Difference to the baseline in points, a row per variant and a column per part.

    labels: [variant]. parts, groups: [part], name and kind (parts of a kind lie together).
    difference, clear: [variant, part]; where clear, the interval leaves zero out and the cell is
    ringed. Returns fig, axes.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    finite = np.abs(difference[np.isfinite(difference)])
    reach = max(1.0, float(finite.max()) if finite.size else 1.0)
    with paper_style():
        fig, axes = plt.subplots(figsize=(PAGE, 0.23 * len(labels) + 1.3))
        axes.imshow(difference, vmin=-reach, vmax=reach, cmap="PuOr", aspect="auto")
        annotate(axes, difference, np.abs(difference) / reach, "{:+.1f}")
        for row, column in np.argwhere(clear):
            box = Rectangle((column - 0.45, row - 0.42), 0.9, 0.84, fill=False, lw=1.0)
            axes.add_patch(box)
        axes.set_xticks(range(len(parts)), parts, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        bare(axes)
        for kind in dict.fromkeys(groups):
            places = [i for i, group in enumerate(groups) if group == kind]
            axes.text(float(np.mean(places)), -0.75, kind, ha="center", fontsize=7, color=MUTED)
            if places[0] > 0:
                axes.axvline(places[0] - 0.5, color="white", lw=3)
    return fig, axes
