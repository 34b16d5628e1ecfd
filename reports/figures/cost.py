"""What a variant costs for what it scores, and how sensitive the score is to a setting."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import MUTED, PAGE, VariantStyle, marker_face, paper_style


def cost_against_score(
    labels: Sequence[str],
    cost: NDArray[np.float64],
    score: NDArray[np.float64],
    front: NDArray[np.bool_],
    *,
    styles: Mapping[str, VariantStyle],
    cost_label: str,
    metric: str = "UAR, %",
) -> tuple[Any, Any]:
    """Score against cost, the Pareto front (nobody cheaper is better) as a step line, its variants
    named.

    labels: [variant]. cost, score: [variant]. front: [variant], True for members of the front.
    Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    with paper_style():
        fig, axes = plt.subplots(figsize=(PAGE, 2.8))
        order = np.flatnonzero(front)[np.argsort(cost[front])]
        axes.step(cost[order], score[order], where="post", color=MUTED, lw=0.9, zorder=1)
        for i, label in enumerate(labels):
            style = styles[label]
            axes.plot(
                cost[i],
                score[i],
                style.marker,
                color=style.colour,
                mfc=marker_face(style),
                ms=5,
                mew=1.1,
                ls="none",
                label=label,
            )
            if front[i]:
                axes.annotate(
                    label,
                    (cost[i], score[i]),
                    xytext=(4, 4),
                    textcoords="offset points",
                    fontsize=7,
                )
        axes.set_xlabel(cost_label)
        axes.set_ylabel(metric)
        axes.grid()
        axes.margins(0.12)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=6.5)
    return fig, axes


def sensitivity(
    setting: str,
    values: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: Sequence[str],
    *,
    styles: Mapping[str, VariantStyle],
    logarithmic: bool,
    metric: str = "dev UAR, %",
) -> tuple[Any, Any]:
    """Score of every trial against one hyper-parameter.

    setting: the axis label. values, scores, labels: [trial], labels naming the trial's variant.
    Returns fig, axes.
    """
    import matplotlib.pyplot as plt

    with paper_style():
        fig, axes = plt.subplots(figsize=(PAGE, 2.4))
        for label in dict.fromkeys(labels):
            rows = np.array([name == label for name in labels])
            style = styles[label]
            axes.plot(
                values[rows],
                scores[rows],
                style.marker,
                color=style.colour,
                mfc=marker_face(style),
                ms=4,
                ls="none",
                label=label,
            )
        if logarithmic:
            axes.set_xscale("log")
        axes.set_xlabel(setting)
        axes.set_ylabel(metric)
        axes.grid(axis="y")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=6.5)
    return fig, axes
