"""Scores of all variants: every fold, every seed, the mean and its interval, the published."""

from typing import Any

import numpy as np

from reports.analysis.analysis import Analysis
from reports.analysis.published import PublishedSystem, published_beside
from reports.figures.canvas import canvas
from reports.figures.figure import Drawing, Figure, chosen, design, percent
from reports.figures.style import BAND, GRID, INK, MUTED, PAGE, marker_face, paper_style, styles_of
from reports.figures.telling import ROWS, telling_summaries, told_of

TALLEST = 8.6  # inches of rows: a page


def draw(analysis: Analysis, onto: Any = None) -> Drawing:
    """One row per variant: a small dot per fold and seed, a ring per fold (mean of its seeds), mean
    and interval above; chance where it lies within reach. Below a line, published systems.

    Of a large study the variants that say most, with their baselines.
    """
    styles, shown = styles_of(analysis), telling_summaries(analysis, ROWS)
    names = [summary.variant for summary in shown]
    scores = analysis.scores[[analysis.variants.index(name) for name in names]]
    by_label = {summary.variant: summary for summary in analysis.summaries}
    published = _published(analysis)
    chance = 100.0 / len(analysis.classes)
    with paper_style():
        rows = len(shown) + len(published)
        fig, axes = canvas(onto, (PAGE, min(0.27 * rows, TALLEST) + 0.85))
        seeds = scores.shape[2]
        spread = np.linspace(-0.12, 0.12, seeds) if seeds > 1 else np.zeros(0)
        for y, summary in enumerate(shown):
            style, score = styles[summary.variant], summary.score(analysis.settings)
            colour = style.colour
            for seed, shift in enumerate(spread):
                row = scores[y, :, seed]
                at = np.full(row.shape, y + 0.22 + shift)
                axes.plot(row, at, ".", color=colour, alpha=0.35, ms=2.5)
            folds = score.fold_means
            at = np.full(folds.shape, y + 0.22)
            axes.plot(folds, at, "o", mfc="none", mec=colour, ms=3.5, mew=0.7)
            if score.interval is not None:
                ends = [score.interval.low, score.interval.high]
                axes.plot(ends, [y - 0.13] * 2, color=colour, lw=1.8, solid_capstyle="butt")
            face = marker_face(style)
            axes.plot(score.mean, y - 0.13, style.marker, color=colour, mfc=face, ms=5, mew=1.1)
            floor, against = analysis.noise, by_label.get(summary.baseline or summary.variant)
            if floor is not None and against is not None:
                centre = against.score(analysis.settings).mean
                half = floor.averaged
                axes.fill_betweenx([y - 0.3, y + 0.04], centre - half, centre + half, color=BAND)
            axes.axhline(y + 0.5, color=GRID, lw=0.4)
        for system in published:
            at_score = system.uar if analysis.settings.metric == "uar" else system.war
            axes.plot(at_score, len(names), "d", color=MUTED, ms=4.5)
            axes.annotate(
                f"{at_score:.1f}",
                (at_score, len(names)),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
                color=MUTED,
            )
            names.append(system.name)
        if published:
            axes.axhline(len(shown) - 0.5, color=INK, lw=0.7)
        bottom = len(names) - 0.55
        if np.nanmin(scores) < chance + 12:
            axes.axvline(chance, color=INK, lw=0.7, ls=":")
            axes.text(chance, bottom, " chance", fontsize=6.5, color=INK, va="bottom")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(bottom + 0.1, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlabel(
            f"{analysis.settings.measure}, %   (large: mean, {percent(analysis)} interval "
            "over folds; "
            "rings: folds; dots: seeds)"
        )
    return fig, axes


def _published(analysis: Analysis) -> list[PublishedSystem]:
    return published_beside(
        analysis.corpus, analysis.synthetic, analysis.protocol, analysis.utterances
    )


def caption(analysis: Analysis) -> str:
    """What is shown."""
    others = " Below the line: published figures, made under other protocols."
    return (
        f"{analysis.settings.measure} in percent, {chosen(analysis)}: every run, fold means, and "
        f"the mean over folds with its corrected {percent(analysis)} interval."
        f"{_floor(analysis)}{others if _published(analysis) else ''}"
        f"{told_of(analysis, ROWS)} {design(analysis)}."
    )


def _floor(analysis: Analysis) -> str:
    if analysis.noise is None:
        return ""
    return (
        " Grey boxes: the noise floor, where the baseline's mean would lie with other seeds "
        f"({percent(analysis)} of the time)."
    )


SCORES = Figure("scores", "Scores of all runs", draw, caption)
