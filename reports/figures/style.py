"""One look for every figure, and one colour for every variant wherever it appears.

- Widths are those of a two-column paper (IEEE: 3.5 in and 7.16 in), so that 8 pt in the file is 8
  pt in print.
- Colours are Okabe and Ito's and Tol's "muted", distinguishable for colour-blind readers; the
  direction is shown by marker and dash, so that a grey print still says which is which.
- Fonts are embedded as TrueType in PDF (publishers refuse Type 3) and drawn as paths in SVG, so
  that a figure looks the same where the font is missing.
- No setting of the user's is in it (activations.drawing), and letters that the font lacks come from
  others (letters.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.drawing import UNDATED, own_settings
from reports.analysis.analysis import Analysis
from reports.figures.letters import FONT, lay_out

COLUMN = 3.5
PAGE = 7.16

INK = "#222222"
MUTED = "#8a8a8a"
GRID = "#e4e4e4"
BAND = "#ececec"

# Okabe & Ito (2008) without yellow and black, hard to read as lines; then Tol's "muted" (2021).
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#999933",
    "#332288",
    "#44AA99",
    "#AA4499",
    "#117733",
)
BASELINE = "#222222"
MARKERS = ("o", "s", "D", "^", "v", "P")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))

FORMATS = ("svg", "pdf", "png")

RC: Any = {
    "font.family": [FONT],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.03,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class VariantStyle:
    """How one variant is drawn in every figure of a report."""

    colour: str
    marker: str
    dash: Any
    filled: bool


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw inside this context to get the report's look; matplotlib's settings come back after."""
    with own_settings(RC):
        yield


def styles_of(analysis: Analysis) -> dict[str, VariantStyle]:
    """The style of each variant: colour from its family, marker and dash from its direction.

    The baseline's family is drawn in ink, so that the eye finds it. With more families than
    colours, colours come round again with another marker.
    """
    summaries = analysis.summaries
    baseline = next((s.family for s in summaries if s.baseline is None), "")
    others = [name for name in dict.fromkeys(s.family for s in summaries) if name != baseline]
    order = list(dict.fromkeys(s.direction for s in summaries))
    styles = {}
    for summary in summaries:
        family, way = summary.family, order.index(summary.direction)
        turn, place = divmod(others.index(family) if family != baseline else 0, len(COLOURS))
        styles[summary.variant] = VariantStyle(
            colour=BASELINE if family == baseline else COLOURS[place],
            marker=MARKERS[(way + 2 * turn) % len(MARKERS)],
            dash=DASHES[way % len(DASHES)],
            filled=way == 0,
        )
    return styles


def marker_face(style: VariantStyle) -> str:
    """The fill of a variant's marker: its colour, or white for the second direction."""
    return style.colour if style.filled else "white"


def save(figure: Any, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write folder/name.svg, .pdf and .png (300 dpi), without dates: equal figures, equal files.

    The figure is laid out and measured once: with "tight" and a layout engine each format would
    first be drawn once more to the same end. Warns of letters that no font has.
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with paper_style():
        lay_out(figure)
        # by these settings a figure without a layout engine would be given one again
        with mpl.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
            margins = _margins(figure)
            for suffix in formats:
                path = folder / f"{name}.{suffix}"
                figure.savefig(path, metadata=UNDATED.get(suffix), bbox_inches=margins)
                written.append(path)
    return written


def _margins(figure: Any) -> Any:
    """The part of the figure that is drawn on, in inches, measured in the pixels of its PNG."""
    shown, figure.dpi = figure.dpi, RC["savefig.dpi"]
    drawn_on = figure.get_tightbbox().padded(RC["savefig.pad_inches"])
    figure.dpi = shown
    return drawn_on
