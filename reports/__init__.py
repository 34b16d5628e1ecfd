"""From result files to scores, tests, figures and the page: `analyse`, `scores`, `draw`, `write`.

Everything starts from results: those of a study, or made-up ones to look around with.

>>> import reports
>>> results = reports.example(["tanh", "elu", "relu"], ["gru"])
>>> reports.scores(results).data.uar.sel(selection="dev").mean().round(1).item()
53.7
>>> analysis = reports.analyse(results, baseline="tanh")
>>> [(c.variant, round(c.test.mean, 1), c.conclusion.verdict) for c in analysis.comparisons]
[('elu · gru', 2.4, 'undecided'), ('relu · gru', -7.8, 'worse')]
>>> fig, axes = reports.draw("forest", analysis)
>>> axes.get_xlabel().split("   ")[0]
'difference to the baseline above each group, points of UAR'

- Everything is imported when it is first used: `import reports` costs neither torch nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.analysis.analysis import Analysis as Analysis
    from reports.analysis.analysis import analyse as analyse
    from reports.analysis.settings import Settings as Settings
    from reports.figures.gallery import draw as draw
    from reports.figures.gallery import figure_names as figure_names
    from reports.made_up import example as example
    from reports.score_table import Scores as Scores
    from reports.score_table import scores as scores
    from reports.study import write as write

_HOME = {
    "Analysis": "analysis.analysis",
    "Scores": "score_table",
    "Settings": "analysis.settings",
    "analyse": "analysis.analysis",
    "draw": "figures.gallery",
    "example": "made_up",
    "figure_names": "figures.gallery",
    "scores": "score_table",
    "write": "study",
}

__all__ = [
    "Analysis",
    "Scores",
    "Settings",
    "analyse",
    "draw",
    "example",
    "figure_names",
    "scores",
    "write",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'reports' has no attribute {name!r}")
    return getattr(import_module(f"reports.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
