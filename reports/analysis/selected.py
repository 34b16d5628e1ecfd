"""Differences as to be expected of variants that were picked for them: drawn towards the family."""

from collections.abc import Sequence

import numpy as np

from reports.analysis.comparisons import BaselineComparison
from reports.statistics.arrays import FloatArray
from reports.statistics.shrinkage import shrunken_differences


def shrunken(
    comparisons: Sequence[BaselineComparison], folds: Sequence[str], ratio: FloatArray
) -> dict[str, float]:
    """Shrunken difference of UAR in points by variant, of those that can be shrunken.

    Variants with one baseline and results in every fold are a family; three are needed.
    """
    families: dict[str, list[BaselineComparison]] = {}
    for comparison in comparisons:
        if len(folds) >= 2 and comparison.folds == tuple(folds):
            families.setdefault(comparison.baseline, []).append(comparison)
    found: dict[str, float] = {}
    for family in families.values():
        guesses = shrunken_differences(np.array([c.differences for c in family]), ratio)
        if guesses is not None:
            found |= {c.variant: float(g) for c, g in zip(family, guesses, strict=True)}
    return found
