"""What the scores say: arrays of an Analysis for the figures of scores and differences."""

from typing import Any

import numpy as np

from reports import figures
from reports.analysis.analysis import Analysis
from reports.analysis.published import published_systems
from reports.drawings.common import styles_of
from reports.statistics.arrays import FloatArray
from reports.statistics.conclusions import p_text


def forest_figure(analysis: Analysis) -> Any:
    """Differences to the baselines; None without a comparison."""
    if not analysis.comparisons:
        return None
    tests = [comparison.test for comparison in analysis.comparisons]
    directions = {s.variant: s.direction for s in analysis.summaries}

    def column(name: str) -> FloatArray:
        return np.array([getattr(test, name) if test else np.nan for test in tests])

    return figures.forest(
        [c.variant for c in analysis.comparisons],
        column("mean"),
        column("low"),
        column("high"),
        groups=[f"{directions[c.variant]} − {c.baseline}" for c in analysis.comparisons],
        notes=[p_text(c.p_holm) if c.test else "unfinished" for c in analysis.comparisons],
        styles=styles_of(analysis),
        rope=analysis.settings.rope,
        baseline="the baseline above each group",
    )


def slopes_figure(analysis: Analysis) -> Any:
    """Fold means of variants and baselines; None without a comparison."""
    place = {s.variant: i for i, s in enumerate(analysis.summaries)}
    pairs = [(c.variant, c.baseline) for c in analysis.comparisons if c.folds]
    if not pairs:
        return None
    means = [s.uar[analysis.settings.selection].fold_means for s in analysis.summaries]
    return figures.slopegraph(
        [variant for variant, _ in pairs],
        np.array([means[place[variant]] for variant, _ in pairs]),
        np.array([means[place[baseline]] for _, baseline in pairs]),
        folds=analysis.folds,
        baseline=", ".join(dict.fromkeys(baseline for _, baseline in pairs)),
        styles=styles_of(analysis),
    )


def scores_figure(analysis: Analysis) -> Any:
    """All scores, means and intervals."""
    rows = [s.uar[analysis.settings.selection] for s in analysis.summaries]
    ends = [(r.interval.low, r.interval.high) if r.interval else (np.nan, np.nan) for r in rows]
    systems = [] if analysis.synthetic else published_systems()
    return figures.score_intervals(
        [s.variant for s in analysis.summaries],
        analysis.scores,
        np.array([r.mean for r in rows]),
        np.array([low for low, _ in ends]),
        np.array([high for _, high in ends]),
        styles=styles_of(analysis),
        chance=100.0 / len(analysis.classes),
        published=[(f"{s.name} {s.uar:.1f}", s.uar) for s in systems],
    )


def better_figure(analysis: Analysis) -> Any:
    """Probabilities of being better by more than the rope; None for a lone variant."""
    if len(analysis.variants) < 2 or not np.isfinite(analysis.probability_relevant).any():
        return None
    matrix = analysis.probability_relevant.copy()
    np.fill_diagonal(matrix, np.nan)
    return figures.better_matrix(analysis.variants, matrix, rope=analysis.settings.rope)


def confusion_figure(analysis: Analysis) -> Any:
    """Confusion matrices and their differences; None without results."""
    place = {variant: i for i, variant in enumerate(analysis.variants)}
    shown = [
        s for s in analysis.summaries if np.isfinite(analysis.confusion[place[s.variant]]).any()
    ]
    if not shown:
        return None
    own = np.array([analysis.confusion[place[s.variant]] for s in shown])
    against = np.array(
        [
            analysis.confusion[place[s.baseline]] if s.baseline else np.full(own[0].shape, np.nan)
            for s in shown
        ]
    )
    labels = [s.variant for s in shown]
    return figures.confusion_matrices(labels, own, own - against, classes=analysis.classes)


def selection_figure(analysis: Analysis) -> Any:
    """Mean scores under each selection rule."""
    return figures.selection_rules(
        [s.variant for s in analysis.summaries],
        {
            rule: np.array([s.uar[rule].mean for s in analysis.summaries])
            for rule in ("last", "dev", "oracle")
        },
        styles=styles_of(analysis),
    )


def parts_figure(analysis: Analysis) -> Any:
    """Differences by class, style and length; None without a comparison."""
    return _parts_of(analysis, ("class", "style", "length"))


def speakers_figure(analysis: Analysis) -> Any:
    """Differences by speaker; None without a comparison."""
    return _parts_of(analysis, ("speaker",))


def _parts_of(analysis: Analysis, kinds: tuple[str, ...]) -> Any:
    labels = [c.variant for c in analysis.comparisons]
    parts = [part for part in analysis.parts if part.kind in kinds]
    if not labels or not parts:
        return None
    difference = np.full((len(labels), len(parts)), np.nan)
    clear = np.zeros(difference.shape, dtype=bool)
    for column, part in enumerate(parts):
        for score in part.scores:
            if score.difference is not None and score.variant in labels:
                row = labels.index(score.variant)
                difference[row, column] = score.difference.difference
                clear[row, column] = score.difference.low > 0 or score.difference.high < 0
    return figures.part_matrix(
        labels, [part.name for part in parts], difference, clear, groups=[p.kind for p in parts]
    )


def ranks_figure(analysis: Analysis) -> Any:
    """Mean ranks; None where they cannot reach significance."""
    ranks = analysis.ranks
    if ranks is None or not ranks.reachable:
        return None
    return figures.rank_diagram(
        analysis.variants,
        ranks.mean_ranks,
        ranks.groups,
        ranks.critical_difference,
        styles=styles_of(analysis),
    )
