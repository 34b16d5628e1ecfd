"""The report's figures by name: what each shows of an Analysis, and what its caption says.

- A drawing picks arrays out of the Analysis and hands them to reports.figures, which computes
  nothing; a number in a figure is a number of `report.json`.
- A drawing that has nothing to show (no learnable activation, one hyper-parameter setting, ranks
  that cannot reach significance) is left out, not drawn empty.
- Captions state n, unit and interval, because figures travel without their page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import InputError
from reports import figures
from reports.analysis.analysis import Analysis
from reports.drawings import scores, training
from reports.drawings.common import chosen, design, percent


@dataclass(frozen=True)
class Drawing:
    """A named figure: `draw` gives fig, axes, or None where there is nothing to show."""

    name: str
    title: str
    draw: Callable[[Analysis], Any]
    caption: Callable[[Analysis], str]


@dataclass(frozen=True)
class Drawn:
    """A figure on disk: its files by suffix, its title and its caption."""

    name: str
    title: str
    caption: str
    files: dict[str, Path]


def draw_all(
    analysis: Analysis,
    folder: Path,
    *,
    only: Sequence[str] = (),
    formats: Sequence[str] = figures.FORMATS,
) -> tuple[Drawn, ...]:
    """Draw the figures of a report into a folder.

    only: names of DRAWINGS, all by default; formats: of svg, pdf, png.
    Raises InputError for an unknown name or format, or a figure asked for by name that this study
    has nothing for.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    known = {drawing.name: drawing for drawing in DRAWINGS}
    for name in only:
        if name not in known:
            raise InputError(f"no figure {name!r}. There are: {', '.join(known)}")
    for suffix in formats:
        if suffix not in figures.FORMATS:
            raise InputError(f"no format {suffix!r}. There are: {', '.join(figures.FORMATS)}")
    drawn = []
    for drawing in [known[name] for name in only] or DRAWINGS:
        made = drawing.draw(analysis)
        if made is None:
            if only:
                raise InputError(
                    f"study {analysis.study} has nothing to show in figure {drawing.name!r}"
                )
            continue
        files = figures.save(made[0], folder, drawing.name, formats)
        drawn.append(
            Drawn(
                name=drawing.name,
                title=drawing.title,
                caption=drawing.caption(analysis),
                files={file.suffix[1:]: file for file in files},
            )
        )
    return tuple(drawn)


DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        "forest",
        "Difference to the baseline",
        scores.forest_figure,
        lambda a: (
            f"Difference of UAR to the baseline in points, with {percent(a)} interval of the "
            f"corrected resampled t-test and Holm-adjusted p; {chosen(a)}. Grey: the region of "
            f"practical equivalence, ±{a.settings.rope:g} points. {design(a)}."
        ),
    ),
    Drawing(
        "scores",
        "Scores of all runs",
        scores.scores_figure,
        lambda a: (
            f"UAR in percent, {chosen(a)}: every run, fold means, and the mean over folds with "
            f"its corrected {percent(a)} interval. {design(a)}."
        ),
    ),
    Drawing(
        "slopegraph",
        "Fold by fold",
        scores.slopes_figure,
        lambda a: (
            f"UAR in percent of each variant and its baseline, one line per fold, seeds averaged; "
            f"{chosen(a)}. {design(a)}."
        ),
    ),
    Drawing(
        "better",
        "Probability of being better",
        scores.better_figure,
        lambda a: (
            f"Bayesian correlated t-test: probability in percent that the row's variant is better "
            f"than the column's by more than {a.settings.rope:g} points of UAR; {chosen(a)}. "
            f"{design(a)}."
        ),
    ),
    Drawing(
        "selection",
        "What the choice of the checkpoint gives",
        scores.selection_figure,
        lambda a: (
            f"Mean UAR in percent under three rules of choosing the checkpoint; the line is the "
            f"oracle's gift. {design(a)}."
        ),
    ),
    Drawing(
        "parts",
        "Where the difference comes from",
        scores.parts_figure,
        lambda a: (
            f"Difference to the baseline in points: recall of each class, UAR within each style "
            f"and length. Ringed: the {percent(a)} interval of a bootstrap over dialogues leaves "
            f"out zero (for reading, not adjusted for the number of cells). {design(a)}."
        ),
    ),
    Drawing(
        "speakers",
        "Speaker by speaker",
        scores.speakers_figure,
        lambda a: (
            f"Difference of UAR to the baseline in points on each speaker's utterances; "
            f"{chosen(a)}. Ringed: the {percent(a)} interval of a bootstrap over dialogues leaves "
            f"out zero (for reading, not adjusted for the number of cells). {design(a)}."
        ),
    ),
    Drawing(
        "confusion",
        "Confusion matrices",
        scores.confusion_figure,
        lambda a: (
            f"Share of each true class (row) taken for each class (column) in percent, pooled over "
            f"folds and seeds, and below it the difference to the baseline in points; "
            f"{chosen(a)}. {design(a)}."
        ),
    ),
    Drawing(
        "curves",
        "Learning curves",
        training.curves_figure,
        lambda a: (
            f"Mean over folds (seeds averaged first), band: corrected {percent(a)} interval over "
            f"folds. Diverged runs are left out. {design(a)}."
        ),
    ),
    Drawing(
        "activations",
        "Candidate activations before and after training",
        training.activations_figure,
        lambda a: (
            f"Candidate activations over their argument; dashed: as initialised, coloured: as "
            f"learnt, one line per run, encoder and direction. {design(a)}."
        ),
    ),
    Drawing(
        "parameters",
        "Learnt parameters over training",
        training.parameters_figure,
        lambda a: (
            f"Learnable activation parameters; thin: each run, encoder and direction, thick: their "
            f"mean, dotted: the initial value. {design(a)}."
        ),
    ),
    Drawing(
        "gates",
        "Inside the cell",
        training.gates_figure,
        lambda a: (
            f"Mean over folds, ticks: folds (runs, encoders and directions averaged): saturated "
            f"gates, candidate units that never move, size of the state, and the distance in "
            f"pooled frames at which an error has fallen to a tenth. {design(a)}."
        ),
    ),
    Drawing(
        "reach",
        "How far back the error reaches",
        training.reach_figure,
        lambda a: (
            f"Norm of the loss gradient with respect to the hidden state against the distance "
            f"from the last frame, relative to distance 0; geometric mean over runs, encoders and "
            f"directions. {design(a)}."
        ),
    ),
    Drawing(
        "cost",
        "Cost against score",
        training.cost_figure,
        lambda a: (
            f"UAR in percent against training time of one run; the line is the Pareto front, and "
            f"its variants are named; {chosen(a)}. {design(a)}."
        ),
    ),
    Drawing(
        "ranks",
        "Mean ranks",
        scores.ranks_figure,
        lambda a: (
            f"Critical-difference diagram of mean ranks over folds (Friedman, Nemenyi); a picture, "
            f"not what the conclusions rest on. {design(a)}."
        ),
    ),
)
