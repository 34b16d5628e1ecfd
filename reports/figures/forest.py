"""Forest plot: the difference of every variant to its baseline, with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import (
    BAND,
    GRID,
    INK,
    MUTED,
    PAGE,
    VariantStyle,
    marker_face,
    paper_style,
)


def forest(
    labels: Sequence[str],
    estimate: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    groups: Sequence[str],
    notes: Sequence[str],
    styles: Mapping[str, VariantStyle],
    rope: float,
    baseline: str,
    unit: str = "points of UAR",
    limit: float | None = None,
) -> tuple[Any, Any]:
    """Draw one row per variant under a heading per group, the ROPE as a band, the figures at the
    right.

    labels, groups, notes: [variant], the variant, the heading it stands under (rows of a group lie
    together), and the text at the right (p, say). estimate, low, high: [variant], in points; NaN
    rows show their note alone. rope: half width of the region of practical equivalence. limit: half
    width of the axis; intervals beyond it end in an arrow. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    headings = list(dict.fromkeys(groups))
    rows = len(labels) + len(headings)
    finite = np.concatenate([low, high])[np.isfinite(np.concatenate([low, high]))]
    reach = limit or max(2.0 * rope, 1.08 * float(np.max(np.abs(finite))) if finite.size else 1.0)
    with paper_style():
        fig, axes = plt.subplots(figsize=(PAGE, 0.2 * rows + 0.75))
        axes.axvspan(-rope, rope, color=BAND, lw=0)
        axes.axvline(0, color=INK, lw=0.8)
        y = 0.0
        ticks: list[float] = []
        names: list[str] = []
        for heading in headings:
            axes.text(
                -0.02, y, heading, transform=_row(axes), ha="right", va="center", fontweight="bold"
            )
            y += 1
            for i in [i for i, group in enumerate(groups) if group == heading]:
                ticks.append(y)
                names.append(labels[i])
                _interval(axes, y, estimate[i], low[i], high[i], reach, styles[labels[i]])
                axes.text(
                    1.02,
                    y,
                    _figures(estimate[i], low[i], high[i]),
                    transform=_row(axes),
                    va="center",
                    fontsize=7,
                )
                axes.text(1.29, y, notes[i], transform=_row(axes), va="center", fontsize=7)
                y += 1
        axes.text(
            1.02,
            -0.9,
            "difference [95 % interval]",
            transform=_row(axes),
            va="center",
            fontsize=7,
            color=MUTED,
        )
        axes.set_yticks(ticks, names)
        axes.set_ylim(y - 0.4, -1.3)
        axes.set_xlim(-reach, reach)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(
            f"difference to {baseline}, {unit}   (grey: within ±{rope:g}, practically equal)"
        )
    return fig, axes


def _row(axes: Any) -> Any:
    """Coordinates for text beside the rows: x in the axes, y in the data."""
    return axes.get_yaxis_transform()


def _figures(estimate: float, low: float, high: float) -> str:
    if not np.isfinite(estimate):
        return "–"
    if not np.isfinite(low):
        return f"{estimate:+.1f}"
    return f"{estimate:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")


def _interval(
    axes: Any, y: float, estimate: float, low: float, high: float, reach: float, style: VariantStyle
) -> None:
    if np.isfinite(low):
        axes.plot(
            [max(low, -reach), min(high, reach)],
            [y, y],
            color=style.colour,
            lw=1.4,
            solid_capstyle="butt",
        )
        for end, beyond, marker in ((-reach, low < -reach, "<"), (reach, high > reach, ">")):
            if beyond:
                axes.plot(end, y, marker=marker, color=style.colour, ms=4, clip_on=False)
    if np.isfinite(estimate) and abs(estimate) <= reach:
        axes.plot(
            estimate,
            y,
            marker=style.marker,
            color=style.colour,
            mfc=marker_face(style),
            ms=5,
            mew=1.1,
        )
    axes.axhline(y, color=GRID, lw=0.4, zorder=0)
