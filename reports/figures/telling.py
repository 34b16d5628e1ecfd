"""Which variants a figure of a large study shows: those that say most, as many as fit a page.

- One choice for every figure, so that what one shows is in the next, and one sentence for captions.
- Nothing is lost: the table and `report.json` have all variants.
"""

from collections.abc import Sequence

from reports.analysis.analysis import Analysis
from reports.analysis.comparisons import BaselineComparison
from reports.analysis.summaries import VariantSummary

ROWS = 40  # what fits a page at a readable size
PANELS = 24  # small panels, four a row; lines: twice as many as there are colours


def telling_comparisons(analysis: Analysis, most: int) -> list[BaselineComparison]:
    """All comparisons as planned, or of many the `most` with a verdict or the largest t.

    Those are sorted by difference under each baseline.
    """
    comparisons = analysis.comparisons
    if len(comparisons) <= most:
        return list(comparisons)
    order = sorted(comparisons, key=lambda c: -abs(c.test.statistic) if c.test else 0.0)
    order.sort(key=lambda c: c.conclusion.verdict not in ("better", "worse", "equal"))
    by_difference = sorted(order[:most], key=lambda c: -c.test.mean if c.test else 0.0)
    groups = list(dict.fromkeys(c.baseline for c in comparisons))
    return sorted(by_difference, key=lambda c: groups.index(c.baseline))


def telling_summaries(analysis: Analysis, most: int) -> list[VariantSummary]:
    """All variants as planned, or of many those of `telling_comparisons`, each baseline first."""
    if len(analysis.comparisons) <= most:
        return list(analysis.summaries)
    shown = telling_comparisons(analysis, most)
    labels = _baselines_first(shown)
    by_label = {summary.variant: summary for summary in analysis.summaries}
    return [by_label[label] for label in labels]


def told_of(analysis: Analysis, most: int) -> str:
    """How many comparisons are shown, for the caption; empty where all are."""
    count = len(analysis.comparisons)
    if count <= most:
        return ""
    return (
        f" Of {count} comparisons the {most} with a verdict or the largest t, sorted; the other "
        f"{count - most} are in the table."
    )


def _baselines_first(shown: Sequence[BaselineComparison]) -> list[str]:
    labels = (label for c in shown for label in (c.baseline, c.variant))
    return list(dict.fromkeys(labels))
