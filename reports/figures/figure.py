"""What every figure is: a name, a title, a way to draw it and a caption.

- `draw(analysis, onto)` takes its arrays out of the Analysis and computes nothing that the report
  does not print: a number in a figure is a number of `report.json`.
- It returns (fig, axes), or None where the study has nothing to show (no learnable activation, one
  hyper-parameter setting, ranks that cannot reach significance).
- `caption(analysis)` states n, unit and interval, because figures travel without their page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activations.wording import counted
from reports.analysis.analysis import Analysis

Drawing = tuple[Any, Any]  # fig, axes: matplotlib carries no types


STANDING = {
    "confirmatory": "",
    "interim": "; unfinished study",
    "descriptive": "; chosen on the test set: no verdicts",
    "exploratory": "; exploratory: no verdicts",
}


@dataclass(frozen=True)
class Figure:
    """A figure of the report. onto (of `draw`): see `canvas.panels`; by default a new figure."""

    name: str
    title: str
    draw: Callable[[Analysis, Any], Drawing | None]
    caption: Callable[[Analysis], str]


def design(analysis: Analysis) -> str:
    """N of folds, seeds, utterances and speakers; whether synthetic, and what forbids verdicts."""
    return (
        f"n = {counted(len(analysis.folds), 'fold')} × {counted(len(analysis.seeds), 'seed')}, "
        f"{counted(analysis.utterances, 'test utterance')} of "
        f"{counted(analysis.speakers, 'speaker')}"
        f"{', synthetic speech' if analysis.synthetic else ''}"
        f"{STANDING[analysis.permission.standing]}"
    )


def chosen(analysis: Analysis) -> str:
    """The selection rule in words."""
    return {
        "dev": "checkpoint chosen on dev",
        "oracle": "checkpoint chosen on test (oracle)",
        "last": "last checkpoint",
    }[analysis.settings.selection]


def percent(analysis: Analysis) -> str:
    """The confidence of intervals, such as "95 %"."""
    return f"{analysis.settings.confidence:.0%}".replace("%", " %")
