"""How sensitive the score is to a setting: every trial of the search, judged on the dev set."""

from typing import Any

import numpy as np

from activations.drawing import without_powers
from reports.analysis.analysis import Analysis
from reports.analysis.sensitivity import SearchedSetting
from reports.figures.canvas import panels
from reports.figures.figure import Drawing, Figure
from reports.figures.style import PAGE, VariantStyle, marker_face, paper_style, styles_of


def draw(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """A panel per setting that was searched: dev UAR of each trial against its value.

    None where nothing was searched.
    """
    styles = styles_of(analysis)
    shown = [one for one in analysis.searched if any(label in styles for label in one.labels)]
    if not shown:
        return None
    with paper_style():
        fig, grid = panels(onto, len(shown), 1, (PAGE, 2.2 * len(shown) + 0.2))
        for axes, setting in zip(grid[:, 0], shown, strict=True):
            _trials(axes, setting, styles)
    return fig, grid[:, 0]


def _trials(axes: Any, setting: SearchedSetting, styles: dict[str, VariantStyle]) -> None:
    labels, values = np.array(setting.labels), np.array(setting.values)
    scores = np.array(setting.scores)
    known = np.isin(labels, list(styles))
    for label in dict.fromkeys(labels[known]):
        rows, style = labels == label, styles[str(label)]
        point = {"mfc": marker_face(style), "ms": 4, "ls": "none", "label": label}
        axes.plot(values[rows], scores[rows], style.marker, color=style.colour, **point)
    if values[known].min() > 0 and values[known].max() / values[known].min() > 10:
        axes.set_xscale("log")
        without_powers(axes.xaxis)
    axes.set_xlabel(setting.name.replace("_", " "))
    axes.set_ylabel("dev UAR, %")
    axes.grid(axis="y")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=6.5)


def caption(analysis: Analysis) -> str:
    """What is shown."""
    trials = max((len(one.scores) for one in analysis.searched), default=0)
    names = ", ".join(one.name.replace("_", " ") for one in analysis.searched)
    return (
        f"Dev UAR in percent of {trials} trials against {names}, each averaged over the folds and "
        "seeds it was run on; a diverged run counts as chance. Nothing here was seen on a test set."
    )


SENSITIVITY = Figure("sensitivity", "Sensitivity to the settings", draw, caption)
