"""Forest by corpus: each variant's difference in every corpus, and over corpora as a diamond.

Drawn for the page of several studies, which has no Analysis of its own: no part of the gallery.
"""

from typing import Any

import numpy as np

from reports.analysis.across_corpora import AcrossCorpora, VariantAcross
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing
from reports.figures.style import BAND, COLOURS, GRID, INK, MUTED, PAGE, paper_style

DIAMOND = 0.32  # half height, in rows
SQUARES = (12.0, 90.0)  # areas, in points²: of no weight and of all weight


def draw(across: AcrossCorpora, *, rope: float, onto: Any = None) -> Drawing:
    """A block per variant: a square per corpus, as large as its weight, and the diamond.

    The thin line at the diamond is where a study on a new corpus would find the difference. What
    reaches beyond the axis ends in an arrow. rope: half width of practical equivalence, points.
    """
    rows = sum(len(v.corpora) + 2 for v in across.variants)
    reach = _reach(across, rope)
    studies = list(across.designs)
    with paper_style():
        fig, axes = canvas(onto, (PAGE, 0.19 * rows + 0.8))
        beside = axes.get_yaxis_transform()  # x in the axes, y in the data
        axes.axvspan(-rope, rope, color=BAND, lw=0)
        axes.axvline(0, color=INK, lw=0.8)
        ticks: list[float] = []
        names: list[str] = []
        y = 0.0
        for one in across.variants:
            heading = f"{one.variant} − {one.baseline}"
            axes.text(-0.02, y, heading, transform=beside, ha="right", va="center", weight="bold")
            y += 1
            y = _corpora(axes, one, y, reach, studies, ticks, names)
            y = _over(axes, one, y, reach, ticks, names)
        percent = f"{across.confidence:.0%}".replace("%", " %")
        head = f"difference [{percent} interval], weight"
        axes.text(1.02, -0.9, head, transform=beside, va="center", fontsize=7, color=MUTED)
        axes.set_yticks(ticks, names)
        axes.set_ylim(y - 0.4, -1.3)
        axes.set_xlim(-reach, reach)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(
            f"difference to the baseline, points of {across.measure}   (grey: within ±{rope:g}, "
            "practically equal)"
        )
    return fig, axes


def _corpora(
    axes: Any,
    one: VariantAcross,
    y: float,
    reach: float,
    studies: list[str],
    ticks: list[float],
    names: list[str],
) -> float:
    """A row for each corpus; returns the next free row."""
    weights = one.synthesis.weights if one.synthesis else np.zeros(len(one.corpora))
    for part, weight in zip(one.corpora, weights, strict=True):
        colour = COLOURS[studies.index(part.study) % len(COLOURS)]
        test = part.test
        _line(axes, test.low, test.high, y, reach, colour, 1.2)
        if abs(test.mean) <= reach:
            size = SQUARES[0] + float(weight) * (SQUARES[1] - SQUARES[0])
            axes.scatter(test.mean, y, marker="s", s=size, color=colour, lw=0, zorder=3)
        share = f"{weight:.0%}".replace("%", " %") if one.synthesis else "–"
        _row(axes, y, test.mean, test.low, test.high, share)
        ticks.append(y)
        names.append(f"{part.corpus} ({part.study})")
        y += 1
    return y


def _over(
    axes: Any, one: VariantAcross, y: float, reach: float, ticks: list[float], names: list[str]
) -> float:
    """The row of all corpora; returns the next free row."""
    found = one.synthesis
    ticks.append(y)
    names.append("over corpora")
    if found is None:
        axes.text(0.5, y, "not put together", transform=axes.get_yaxis_transform(), ha="center")
        return y + 1
    _line(axes, found.new_study.low, found.new_study.high, y, reach, MUTED, 0.8)
    low, middle, high = np.clip([found.low, found.mean, found.high], -reach, reach)
    axes.fill(
        [low, middle, high, middle], [y, y - DIAMOND, y, y + DIAMOND], color=INK, lw=0, zorder=3
    )
    p = "" if not np.isfinite(one.p_holm) else f"p {one.p_holm:.3f}"
    _row(axes, y, found.mean, found.low, found.high, p)
    return y + 1


def _line(
    axes: Any, low: float, high: float, y: float, reach: float, colour: str, width: float
) -> None:
    ends = np.clip([low, high], -reach, reach)
    axes.plot(ends, [y, y], color=colour, lw=width, solid_capstyle="butt")
    for end, marker in ((low, "<"), (high, ">")):
        if abs(end) > reach:
            at = float(np.sign(end)) * reach
            axes.plot(at, y, marker, color=colour, ms=4, clip_on=False)
    axes.axhline(y, color=GRID, lw=0.4, zorder=0)


def _row(axes: Any, y: float, mean: float, low: float, high: float, note: str) -> None:
    beside = axes.get_yaxis_transform()
    said = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")
    axes.text(1.02, y, said, transform=beside, va="center", fontsize=7)
    axes.text(1.31, y, note, transform=beside, va="center", fontsize=7)


def _reach(across: AcrossCorpora, rope: float) -> float:
    """Half width of the axis: all of every corpus's interval; what goes beyond gets an arrow."""
    ends = [abs(e) for v in across.variants for p in v.corpora for e in (p.test.low, p.test.high)]
    means = [abs(v.synthesis.mean) for v in across.variants if v.synthesis]
    return 1.08 * max(2.0 * rope, *ends, *means)
