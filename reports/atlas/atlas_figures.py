"""The atlas's figures: every activation of a corpus, and two corpora against each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reports.atlas.atlas_scores import AtlasCorpus
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing
from reports.figures.style import BAND, BASELINE, COLOURS, INK, MUTED, PAGE, paper_style, save
from reports.statistics.arrays import FloatArray
from reports.statistics.conclusions import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.125  # inches
MOSTLY = 0.25  # where more of the runs diverged, the row says so, and no interval widens the axis


def draw_corpus(corpus: AtlasCorpus) -> Drawing:
    """A row per activation, best first: its difference to the baseline with interval."""
    entries = list(reversed(corpus.entries))
    families = _families(corpus)
    with paper_style():
        fig, axes = canvas(None, (PAGE, ROW * len(entries) + 0.9))
        if corpus.noise is not None:
            axes.axvspan(-corpus.noise.averaged, corpus.noise.averaged, color=BAND, lw=0)
        axes.axvline(0, color=INK, lw=0.6)
        for y, entry in enumerate(entries):
            colour = COLOURS[families.index(entry.family) % len(COLOURS)]
            colour = BASELINE if entry.verdict == "baseline" else colour
            lost = f"{entry.diverged}/{entry.runs} diverged" if entry.diverged else ""
            drawn = entry.diverged <= MOSTLY * entry.runs
            said = lost if drawn else f"{signed(entry.difference)}, {lost}"
            if said:
                axes.annotate(
                    said,
                    (1.005, y),
                    xycoords=("axes fraction", "data"),
                    fontsize=5,
                    color=MUTED,
                    va="center",
                )
            if not drawn:
                continue
            if np.isfinite(entry.low):
                axes.plot([entry.low, entry.high], [y, y], color=colour, lw=0.8)
            decided = entry.verdict in ("better", "worse", "baseline")
            face = colour if decided else "white"
            axes.plot(entry.difference, y, "o", ms=3.2, color=colour, mfc=face)
        axes.set_yticks(range(len(entries)), [entry.activation for entry in entries], fontsize=5.5)
        axes.set_ylim(-1, len(entries))
        axes.set_xlabel(f"difference to {corpus.baseline}, points of UAR; filled: shown to differ")
        axes.grid(axis="x")
        handles = [
            axes.plot([], [], "o-", ms=3.2, lw=0.8, color=COLOURS[k % len(COLOURS)], label=name)[0]
            for k, name in enumerate(families)
        ]
        fig.legend(
            handles=handles, loc="outside upper center", ncols=min(6, len(handles)), fontsize=6
        )
    return fig, axes


def draw_across(corpora: Sequence[AtlasCorpus]) -> Drawing:
    """Differences in one corpus against those in the other, an activation a point."""
    first, second = corpora[:2]
    one = {entry.activation: entry for entry in first.entries}
    two = {entry.activation: entry for entry in second.entries}
    both = [name for name in one if name in two and one[name].verdict != "baseline"]
    common = [name for name in both if not one[name].diverged + two[name].diverged]
    families = _families(first)
    points = np.array([[one[n].difference, two[n].difference] for n in common]).reshape(-1, 2)
    with paper_style():
        fig, axes = canvas(None, (PAGE, 5.6))
        axes.axvline(0, color=INK, lw=0.6)
        axes.axhline(0, color=INK, lw=0.6)
        for name, (x, y) in zip(common, points, strict=True):
            colour = COLOURS[families.index(one[name].family) % len(COLOURS)]
            axes.plot(x, y, "o", ms=3.2, color=colour)
        axes.set_title(
            f"{len(common)} activations of which no run diverged; {len(both) - len(common)} others "
            "left out",
            fontsize=7,
        )
        axes.set_xlabel(f"{first.corpus}: difference to {first.baseline}, points of UAR")
        axes.set_ylabel(f"{second.corpus}: difference to {second.baseline}, points of UAR")
        axes.grid(True)
        handles = [
            axes.plot([], [], "o", ms=3.2, color=COLOURS[k % len(COLOURS)], label=name)[0]
            for k, name in enumerate(families)
        ]
        fig.legend(
            handles=handles, loc="outside upper center", ncols=min(6, len(handles)), fontsize=6
        )
        _label(axes, common, points)
    return fig, axes


def _families(corpus: AtlasCorpus) -> list[str]:
    """In one order in every figure, so that each has its colour."""
    return sorted({entry.family for entry in corpus.entries})


def _label(axes: "Axes", names: Sequence[str], points: FloatArray) -> None:
    """Write names beside points [name, 2], the outer ones first, at the corner where no name, point
    or axis lies; without such a corner a point has no name.
    """
    from matplotlib.transforms import Bbox

    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # only then is it known where points are
    inch = figure.dpi / 72
    taken = [
        Bbox.from_bounds(x - 2 * inch, y - 2 * inch, 4 * inch, 4 * inch)
        for x, y in axes.transData.transform(points)
    ]
    zero_x, zero_y = axes.transData.transform((0.0, 0.0))
    taken.append(Bbox.from_extents(zero_x, -1e6, zero_x + 1, 1e6))
    taken.append(Bbox.from_extents(-1e6, zero_y, 1e6, zero_y + 1))
    for row in np.argsort(-np.linalg.norm(points - np.median(points, axis=0), axis=1)):
        for side, level in (("left", "bottom"), ("left", "top"), ("right", "bottom"),
                            ("right", "top")):  # fmt: skip
            text = axes.annotate(
                names[row],
                points[row],
                xytext=(2.2 if side == "left" else -2.2, 2.0 if level == "bottom" else -2.0),
                textcoords="offset points",
                fontsize=4.5,
                ha=side,
                va=level,
            )
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def write_atlas_figures(corpora: Sequence[AtlasCorpus], folder: Path) -> dict[str, Path]:
    """Write all figures as SVG; their files by study, and `across` where there are two corpora."""
    files = {}
    for corpus in corpora:
        (files[corpus.study],) = save(draw_corpus(corpus)[0], folder, corpus.study, ["svg"])
    if len(corpora) > 1:
        (files["across"],) = save(draw_across(corpora)[0], folder, "atlas-across", ["svg"])
    return files
