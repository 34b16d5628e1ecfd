"""Differences as to be expected of variants that were picked for them: drawn towards the family."""

from collections.abc import Sequence

import numpy as np

from reports.analysis.comparisons import BaselineComparison
from reports.score_table import Scores
from reports.statistics.shrinkage import shrunken_differences


def shrunken(comparisons: Sequence[BaselineComparison], scores: Scores) -> dict[str, float]:
    """Shrunken difference of UAR in points by variant, of those that can be shrunken.

    Variants with one baseline and results in every fold are a family; three are needed.
    """
    families: dict[str, list[BaselineComparison]] = {}
    for comparison in comparisons:
        if scores.units.max() >= 1 and comparison.folds == scores.folds:
            families.setdefault(comparison.baseline, []).append(comparison)
    found: dict[str, float] = {}
    for family in families.values():
        differences = scores.by_unit(np.array([c.differences for c in family]))
        guesses = shrunken_differences(differences, scores.unit_ratio)
        if guesses is not None:
            found |= {c.variant: float(g) for c, g in zip(family, guesses, strict=True)}
    return found
