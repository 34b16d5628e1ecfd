"""All figures by name, in the order of the page, and the two ways of having them: drawn or on disk.

To add one, write its module and put its Figure in here; the page, the command line and
`reports.draw` read this tuple alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from activations.errors import InputError
from bench.training.results import MemberResult
from reports.analysis.analysis import Analysis, analyse
from reports.figures.activation_shapes import ACTIVATIONS
from reports.figures.better import BETTER
from reports.figures.confusion import CONFUSION
from reports.figures.cost import COST
from reports.figures.critical_difference import RANKS
from reports.figures.figure import Drawing, Figure
from reports.figures.forest import FOREST
from reports.figures.gates import GATES
from reports.figures.learning_curves import CURVES
from reports.figures.optuna_plots import HISTORY, IMPORTANCE, SLICE
from reports.figures.parameter_traces import PARAMETERS
from reports.figures.reach import REACH
from reports.figures.score_intervals import SCORES
from reports.figures.searched_settings import SENSITIVITY
from reports.figures.selection_rules import SELECTION
from reports.figures.side_by_side import side_by_side
from reports.figures.slopegraph import SLOPEGRAPH
from reports.figures.speakers import SPEAKERS
from reports.figures.style import FORMATS, paper_style, save
from reports.figures.subsets import SUBSETS

FIGURES: tuple[Figure, ...] = (
    *(FOREST, SCORES, SLOPEGRAPH, BETTER, SELECTION, SUBSETS, SPEAKERS, CONFUSION),
    *(CURVES, ACTIVATIONS, PARAMETERS, GATES, REACH, COST, RANKS, SENSITIVITY),
    *(IMPORTANCE, HISTORY, SLICE),
)


@dataclass(frozen=True)
class FigureFiles:
    """A figure on disk: its files by suffix, its title and its caption."""

    name: str
    title: str
    caption: str
    files: dict[str, Path]


def find(name: str) -> Figure:
    """The figure of this name. Raises InputError naming all where there is none."""
    for figure in FIGURES:
        if figure.name == name:
            return figure
    raise InputError(f"no figure {name!r}. There are: {', '.join(figure_names())}")


def figure_names() -> list[str]:
    """The names of all figures, in the order of the page.

    >>> import reports
    >>> reports.figure_names()[:3]
    ['forest', 'scores', 'slopegraph']
    """
    return [figure.name for figure in FIGURES]


def draw(name: str, study: Analysis | Sequence[MemberResult], axes: Any = None) -> Drawing:
    """Draw one figure of a study; return fig, axes.

    name: one of `figure_names()`. study: an analysis, or results (analysed with tanh as baseline).
    axes: where to draw, as many as the figure has panels, or an empty figure; by default a new
    pyplot figure, which a notebook shows.
    Raises InputError for an unknown name, another number of axes than panels, and where the study
    has nothing for this figure.

    >>> import matplotlib.pyplot as plt, reports
    >>> results = reports.example(["tanh", "elu"], ["gru"], seeds=1, utterances=40)
    >>> analysis = reports.analyse(results)
    >>> fig, (left, right) = plt.subplots(1, 2)
    >>> _ = reports.draw("scores", analysis, axes=left)
    >>> _ = reports.draw("cost", analysis, axes=right)
    >>> [text.get_text() for text in left.get_yticklabels()]
    ['elu · gru', 'tanh · gru']
    >>> plt.close(fig)
    """
    figure = find(name)
    analysis = study if isinstance(study, Analysis) else analyse(study)
    made = None
    if axes is None:
        import matplotlib.pyplot as plt

        with paper_style():
            axes = made = plt.figure()
    drawing = figure.draw(analysis, axes)
    if drawing is None:
        if made is not None:
            plt.close(made)
        raise _nothing(analysis, name)
    _without_mathematics(drawing[1])
    return drawing


def _without_mathematics(axes: Any) -> None:
    """Let ticks that were there before us, in the caller's axes, draw a dollar sign as it is."""
    for panel in np.ravel(axes):
        for label in (*panel.get_xticklabels(), *panel.get_yticklabels()):
            label.set_parse_math(False)


def _nothing(analysis: Analysis, name: str) -> InputError:
    return InputError(f"study {analysis.study} has nothing to show in figure {name!r}")


def write_figures(
    analysis: Analysis,
    folder: Path,
    *,
    only: Sequence[str] = (),
    formats: Sequence[str] = FORMATS,
) -> tuple[FigureFiles, ...]:
    """Write figures into a folder.

    only: names, all that have something to show by default; formats: of svg, pdf, png.
    Raises InputError for an unknown name or format, and where a figure asked for by name has
    nothing to show.
    """
    asked = [find(name) for name in only]
    for suffix in formats:
        if suffix not in FORMATS:
            raise InputError(f"no format {suffix!r}. There are: {', '.join(FORMATS)}")

    def write(figure: Figure) -> FigureFiles | None:
        drawing = figure.draw(analysis, None)
        if drawing is None:
            if asked:
                raise _nothing(analysis, figure.name)
            return None
        files = save(drawing[0], folder, figure.name, formats)
        return FigureFiles(
            name=figure.name,
            title=figure.title,
            caption=figure.caption(analysis),
            files={file.suffix[1:]: file for file in files},
        )

    return tuple(each for each in side_by_side(write, asked or FIGURES) if each is not None)
