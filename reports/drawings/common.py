"""What every drawing needs: styles, and the phrases of its caption."""

from reports.analysis.analysis import Analysis, VariantSummary
from reports.figures import VariantStyle, variant_styles


def styles_of(analysis: Analysis) -> dict[str, VariantStyle]:
    """The style of each variant: one colour per activation (and gates), in every figure."""
    return variant_styles(
        {s.variant: _without_direction(s) for s in analysis.summaries},
        {s.variant: s.direction for s in analysis.summaries},
        baseline=_baseline_family(analysis),
    )


def _without_direction(summary: VariantSummary) -> str:
    parts = summary.variant.split(" · ")
    return " · ".join(part for part in parts if part != summary.direction)


def _baseline_family(analysis: Analysis) -> str:
    return next((_without_direction(s) for s in analysis.summaries if s.baseline is None), "")


def design(analysis: Analysis) -> str:
    """N of folds, seeds, utterances and speakers; whether synthetic or unfinished."""
    seeds = len(analysis.seeds)
    return (
        f"n = {len(analysis.folds)} folds × {seeds} seed{'s' if seeds > 1 else ''}, "
        f"{analysis.utterances:,} test utterances of {analysis.speakers} speakers"
        f"{', synthetic speech' if analysis.synthetic else ''}"
        f"{'' if analysis.complete else '; unfinished study'}"
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
