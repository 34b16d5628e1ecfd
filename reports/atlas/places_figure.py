"""The atlas's figure of places: every activation in each of them against its baseline."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reports.atlas.atlas_scores import NEVER, AtlasCorpus, AtlasEntry
from reports.figures.canvas import panels
from reports.figures.figure import Drawing
from reports.figures.style import BASELINE, COLOURS, INK, MUTED, PAGE, paper_style, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.19  # inches


def draw_places(corpus: AtlasCorpus) -> Drawing:
    """A panel per place, a row per activation, in the same order: difference with interval."""
    places = list(dict.fromkeys(corpus.places))
    names = list(dict.fromkeys(corpus.activations))[::-1]
    found = {(entry.activation, entry.place): entry for entry in corpus.entries}
    with paper_style():
        fig, grid = panels(
            None, 1, len(places), (PAGE, ROW * len(names) + 0.8), sharex=True, sharey=True
        )
        for place, axes, colour in zip(places, grid[0], COLOURS, strict=False):
            axes.axvline(0, color=INK, lw=0.6)
            axes.set_title(place)
            axes.grid(axis="x")
            for y, name in enumerate(names):
                entry = found.get((name, place))
                if entry is not None:
                    _row(axes, y, entry, colour)
        grid[0, 0].set_yticks(range(len(names)), names, fontsize=7)
        grid[0, 0].set_ylim(-0.7, len(names) - 0.3)
        fig.supxlabel(
            "difference to the baseline, points of UAR; filled: shown to differ", fontsize=8
        )
    return fig, grid[0]


def _row(axes: "Axes", y: int, entry: AtlasEntry, colour: str) -> None:
    """Its point with interval; in words where it never trains, for that is no difference."""
    if entry.verdict == NEVER:
        axes.annotate("never trains", (0, y), xytext=(3, 0), textcoords="offset points",
                      fontsize=6, color=MUTED, va="center")  # fmt: skip
        return
    base = entry.verdict == "baseline"
    if np.isfinite(entry.low):
        axes.plot([entry.low, entry.high], [y, y], color=colour, lw=0.9)
    face = BASELINE if base else colour if entry.verdict in ("better", "worse") else "white"
    axes.plot(entry.difference, y, "o", ms=3.6, color=BASELINE if base else colour, mfc=face)
    if entry.diverged:
        axes.annotate(f"{entry.diverged} of {entry.runs} diverged", (entry.difference, y),
                      xytext=(0, 3), textcoords="offset points", fontsize=5, color=MUTED,
                      ha="center")  # fmt: skip


def write_places_figure(corpus: AtlasCorpus, folder: Path) -> Path:
    """Write the figure as SVG and return its file."""
    (path,) = save(draw_places(corpus)[0], folder, corpus.study, ["svg"])
    return path
