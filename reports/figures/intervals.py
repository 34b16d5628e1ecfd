"""Scores of all variants: every fold, every seed, the mean and its interval, the published."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import GRID, INK, MUTED, PAGE, VariantStyle, marker_face, paper_style


def score_intervals(
    labels: Sequence[str],
    scores: NDArray[np.float64],
    mean: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    styles: Mapping[str, VariantStyle],
    chance: float,
    published: Sequence[tuple[str, float]] = (),
    metric: str = "UAR, %",
) -> tuple[Any, Any]:
    """One row per variant: a small dot per fold and seed, a ring per fold (mean of its seeds), mean
    and interval above.

    labels: [variant]. scores: [variant, fold, seed], percent, NaN where missing. mean, low, high:
    [variant], percent. chance: the level of a blind guess, drawn where it lies within reach.
    published: (text, value) drawn as dashed lines. Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    with paper_style():
        fig, axes = plt.subplots(figsize=(PAGE, 0.27 * len(labels) + 0.85))
        spread = np.linspace(-0.12, 0.12, scores.shape[2]) if scores.shape[2] > 1 else np.zeros(1)
        for y, label in enumerate(labels):
            style = styles[label]
            if scores.shape[2] > 1:
                for seed, shift in enumerate(spread):
                    row = scores[y, :, seed]
                    axes.plot(
                        row,
                        np.full(row.shape, y + 0.22 + shift),
                        ".",
                        color=style.colour,
                        alpha=0.35,
                        ms=2.5,
                    )
            folds = _mean_over_seeds(scores[y])
            axes.plot(
                folds,
                np.full(folds.shape, y + 0.22),
                "o",
                mfc="none",
                mec=style.colour,
                ms=3.5,
                mew=0.7,
            )
            axes.plot(
                [low[y], high[y]],
                [y - 0.13, y - 0.13],
                color=style.colour,
                lw=1.8,
                solid_capstyle="butt",
            )
            axes.plot(
                mean[y],
                y - 0.13,
                style.marker,
                color=style.colour,
                mfc=marker_face(style),
                ms=5,
                mew=1.1,
            )
            axes.axhline(y + 0.5, color=GRID, lw=0.4)
        for text, value in published:
            axes.axvline(value, color=MUTED, lw=0.9, ls=(0, (4, 2)))
            axes.text(
                value, -0.75, text, rotation=35, ha="left", va="bottom", fontsize=6.5, color=MUTED
            )
        if np.nanmin(scores) < chance + 12:
            axes.axvline(chance, color=INK, lw=0.7, ls=":")
            axes.text(chance, len(labels) - 0.55, " chance", fontsize=6.5, color=INK, va="bottom")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.45, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlabel(
            f"{metric}   (large: mean, 95 % interval over folds; rings: folds; dots: seeds)"
        )
    return fig, axes


def _mean_over_seeds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """[fold, seed] → [fold], NaN only where a fold has no seed at all."""
    counts = np.isfinite(scores).sum(axis=1)
    totals = np.nansum(scores, axis=1)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
