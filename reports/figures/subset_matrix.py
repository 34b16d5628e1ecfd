"""What the figures of subsets share: variants against subsets of the test utterances."""

from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing, percent
from reports.figures.matrix import annotate, bare
from reports.figures.style import MUTED, PAGE, paper_style
from reports.figures.telling import ROWS, telling_comparisons, told_of
from reports.statistics.multiplicity import holm


def draw_subsets(analysis: Analysis, kinds: tuple[str, ...], onto: Any) -> Drawing | None:
    """Differences to the baseline in points, a row per variant, a column per subset of these kinds.

    Ringed where zero is left out at the figure's level. None without a comparison or a subset.
    """
    from matplotlib.patches import Rectangle

    labels = [c.variant for c in analysis.comparisons]
    subsets = [subset for subset in analysis.subsets if subset.kind in kinds]
    if not labels or not subsets:
        return None
    difference = np.full((len(labels), len(subsets)), np.nan)
    p = np.full(difference.shape, np.nan)
    for column, subset in enumerate(subsets):
        for score in subset.scores:
            if score.difference is not None and score.variant in labels:
                row = labels.index(score.variant)
                difference[row, column] = score.difference.difference
                p[row, column] = score.difference.p
    clear = holm(p.ravel()).reshape(p.shape) < 1 - analysis.settings.confidence
    clear &= analysis.permission.tested
    shown = [labels.index(c.variant) for c in telling_comparisons(analysis, ROWS)]
    labels, difference, clear = [labels[i] for i in shown], difference[shown], clear[shown]
    finite = np.abs(difference[np.isfinite(difference)])
    reach = max(1.0, float(finite.max()) if finite.size else 1.0)
    with paper_style():
        fig, axes = canvas(onto, (PAGE, 0.23 * len(labels) + 1.3))
        axes.imshow(difference, vmin=-reach, vmax=reach, cmap="PuOr", aspect="auto")
        annotate(axes, difference, np.abs(difference) / reach, "{:+.1f}")
        for row, column in np.argwhere(clear):
            box = Rectangle((column - 0.45, row - 0.42), 0.9, 0.84, fill=False, lw=1.0)
            axes.add_patch(box)
        names = [subset.name for subset in subsets]
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        bare(axes)
        for kind in dict.fromkeys(subset.kind for subset in subsets):
            places = [i for i, subset in enumerate(subsets) if subset.kind == kind]
            axes.text(float(np.mean(places)), -0.75, kind, ha="center", fontsize=7, color=MUTED)
            if places[0] > 0:
                axes.axvline(places[0] - 0.5, color="white", lw=3)
    return fig, axes


def ringed(analysis: Analysis) -> str:
    """What a ring means and which rows are shown, for the caption."""
    told = told_of(analysis, ROWS)
    if not analysis.permission.tested:
        return f"For reading only.{told}"
    cells = "the cells of all comparisons" if told else "its cells"
    return (
        f"Ringed: a bootstrap over dialogues leaves out zero at {percent(analysis)} for the whole "
        f"figure (Holm over {cells}); these networks, these speakers, for reading only.{told}"
    )
