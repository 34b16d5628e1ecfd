"""The activations themselves: as they start, and as training left them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import GRID, INK, MUTED, PAGE, paper_style


def activation_shapes(
    names: Sequence[str],
    x: NDArray[np.float64],
    before: NDArray[np.float64],
    after: Sequence[NDArray[np.float64]],
    *,
    colours: Sequence[str],
    columns: int = 5,
) -> tuple[Any, Any]:
    """One small panel per activation: dashed as initialised, solid thin lines as learnt, one per
    member and encoder.

    names: [activation]. x: [point]. before: [activation, point]. after: per activation [curve,
    point], with no curve for an activation without parameters. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    with paper_style():
        fig, grid = plt.subplots(
            rows, columns, figsize=(PAGE, 1.45 * rows + 0.25), squeeze=False, sharex=True
        )
        for axes in grid.flat[len(names) :]:
            axes.set_axis_off()
        for i, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
            axes.axhline(0, color=GRID, lw=0.6)
            axes.axvline(0, color=GRID, lw=0.6)
            for curve in after[i]:
                axes.plot(x, curve, color=colours[i], lw=0.6, alpha=0.45)
            learnt = len(after[i]) > 0
            axes.plot(
                x,
                before[i],
                color=INK if learnt else colours[i],
                ls=(0, (3, 2)) if learnt else "-",
                lw=1.1,
            )
            axes.set_title(name)
            axes.text(
                0.03,
                0.97,
                f"{len(after[i])} learnt" if learnt else "fixed",
                transform=axes.transAxes,
                va="top",
                fontsize=6.5,
                color=MUTED,
            )
        for axes in grid[-1]:
            axes.set_xlabel("pre-activation")
    return fig, grid


def parameter_traces(
    names: Sequence[str],
    steps: NDArray[np.float64],
    traces: Sequence[NDArray[np.float64]],
    *,
    initial: Sequence[float],
    colours: Sequence[str],
    columns: int = 4,
) -> tuple[Any, Any]:
    """Learnt activation parameters over training: a thin line per member and encoder, their mean
    thick.

    names: [parameter], such as "arelu · gru: α". steps: [point]. traces: per parameter [run,
    point]. initial: [parameter]. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    with paper_style():
        fig, grid = plt.subplots(
            rows, columns, figsize=(PAGE, 1.5 * rows + 0.2), squeeze=False, sharex=True
        )
        for axes in grid.flat[len(names) :]:
            axes.set_axis_off()
        for i, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
            axes.axhline(initial[i], color=MUTED, lw=0.7, ls=":")
            for run in traces[i]:
                axes.plot(steps, run, color=colours[i], lw=0.5, alpha=0.4)
            axes.plot(steps, np.nanmean(traces[i], axis=0), color=colours[i], lw=1.6)
            axes.set_title(name)
        for axes in grid[-1]:
            axes.set_xlabel("training step")
    return fig, grid
