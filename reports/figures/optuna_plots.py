"""Optuna's own plots of a search: importance of the settings, history, and slices.

- They are drawn by Optuna, from what the report tells of the search: dev scores only.
- Optuna opens pyplot figures of its own; they are taken out of pyplot at once, so that nothing is
  left open.
"""

from collections.abc import Callable
from typing import Any

from activations.errors import InputError
from reports.analysis.analysis import Analysis
from reports.analysis.searched import Search
from reports.figures.figure import Drawing, Figure
from reports.figures.style import PAGE, paper_style
from studies.search import SearchSpec
from studies.tuning import distribution

LABEL = "dev UAR, %"


def _drawn(
    analysis: Analysis, onto: Any, plot: Callable[[Any, Search], Any], height: float
) -> Drawing | None:
    """A figure that Optuna draws of a search; None where nothing was searched."""
    search = analysis.search
    if search is None:
        return None
    if onto is not None and (not hasattr(onto, "axes") or getattr(onto, "axes", None)):
        raise InputError("Optuna draws this figure on axes of its own: give none")
    import warnings

    import matplotlib.pyplot as plt
    from optuna.exceptions import ExperimentalWarning

    with paper_style(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)
        axes = plot(_study(search), search)
    fig = axes.ravel()[0].figure if hasattr(axes, "ravel") else axes.figure
    plt.close(fig)
    if onto is not None:
        plt.close(onto)
    fig.set_size_inches(PAGE, height)
    return fig, axes


def _study(search: Search) -> Any:
    """Optuna's study with every setting that was tried, in the order of trying."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {key: distribution(key, SearchSpec(**search.space[key])) for key in search.fields}
    study = optuna.create_study(direction="maximize")
    trials = []
    for point in search.points:
        inside = {key: d for key, d in space.items() if _holds(d, point.settings[key])}
        trials.append(
            optuna.trial.create_trial(
                params={key: point.settings[key] for key in inside},
                distributions=inside,
                value=point.dev_uar,
            )
        )
    study.add_trials(trials)
    return study


def _holds(distribution: Any, value: object) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def draw_importance(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """How much of the scatter of dev scores each setting explains (PED-ANOVA)."""
    from optuna.visualization.matplotlib import plot_param_importances

    search = analysis.search
    if search is None or len(search.fields) < 2 or len(search.points) < 4:
        return None  # one setting is all there is to explain
    return _drawn(analysis, onto, lambda study, _: plot_param_importances(study), 2.4)


def draw_history(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Dev scores in the order of trying, and the best so far."""
    from optuna.visualization.matplotlib import plot_optimization_history

    return _drawn(
        analysis,
        onto,
        lambda study, _: plot_optimization_history(study, target_name=LABEL),
        2.8,
    )


def draw_slice(analysis: Analysis, onto: Any = None) -> Drawing | None:
    """Dev scores against each setting."""
    from optuna.visualization.matplotlib import plot_slice

    return _drawn(
        analysis,
        onto,
        lambda study, search: plot_slice(study, params=list(search.fields), target_name=LABEL),
        2.8,
    )


def caption(analysis: Analysis) -> str:
    """What is shown."""
    search = analysis.search
    assert search is not None
    return (
        f"Optuna's plot of {len(search.points)} settings of {len(search.variants)} variants, each "
        "on one fold, by the dev UAR of that fold; variants and folds stand together, so part of "
        "the scatter is theirs. Nothing here was seen on a test set."
    )


IMPORTANCE = Figure("importance", "Importance of the settings (Optuna)", draw_importance, caption)
HISTORY = Figure("history", "History of the search (Optuna)", draw_history, caption)
SLICE = Figure("slice", "Settings one by one (Optuna)", draw_slice, caption)
