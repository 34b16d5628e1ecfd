"""The same training runs, scored by three rules of choosing a checkpoint."""

from typing import Any

from reports.analysis.analysis import Analysis
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing, Figure, design
from reports.figures.style import GRID, MUTED, PAGE, paper_style, styles_of
from reports.figures.telling import ROWS, telling_summaries, told_of

# rule, marker, size, words
RULES = (
    ("last", "|", 11.0, "last step"),
    ("dev", "o", 5.0, "best on dev"),
    ("oracle", "*", 7.5, "best on test (oracle)"),
)


def draw(analysis: Analysis, onto: Any = None) -> Drawing:
    """One row per variant: the score of the last checkpoint, the best on dev, the best on test."""
    styles, shown = styles_of(analysis), telling_summaries(analysis, ROWS)
    rules = [rule for rule in RULES if rule[0] in analysis.gap.rules]
    with paper_style():
        fig, axes = canvas(onto, (PAGE, 0.21 * len(shown) + 0.85))
        for y, summary in enumerate(shown):
            colour = styles[summary.variant].colour
            score = summary.scores(analysis.settings)
            ends = [score[rule].mean for rule in (analysis.gap.honest, "oracle")]
            axes.plot(ends, [y, y], color=colour, lw=1.2)
            for rule, marker, size, _ in rules:
                face = "white" if rule == "dev" else colour
                mean = score[rule].mean
                axes.plot(mean, y, marker, color=colour, mfc=face, ms=size, mew=1.2)
            axes.axhline(y, color=GRID, lw=0.4, zorder=0)
        for rule, marker, size, words in rules:
            face = "white" if rule == "dev" else MUTED
            how = {"color": MUTED, "mfc": face, "ms": size, "mew": 1.2, "ls": "none"}
            axes.plot([], [], marker, label=words, **how)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)
        axes.set_yticks(range(len(shown)), [s.variant for s in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlabel(f"{analysis.settings.measure}, %")
    return fig, axes


def caption(analysis: Analysis) -> str:
    """What is shown."""
    return (
        f"Mean {analysis.settings.measure} in percent under {len(analysis.gap.rules)} rules of "
        "choosing the checkpoint; "
        f"the line is what choosing on the test set adds.{told_of(analysis, ROWS)} "
        f"{design(analysis)}."
    )


SELECTION = Figure("selection", "What the choice of the checkpoint gives", draw, caption)
