"""Shrunken differences: by hand, and in a world where the truth is known."""

import numpy as np
import pytest

from reports.statistics.corrected_t import correction
from reports.statistics.shrinkage import shrunken_differences

RATIO = np.full(5, 1 / 3)


def test_variants_that_scatter_alike_shrink_by_the_share_of_error():
    # deviations from the mean over three variants: (-3, 0, 3) plus patterns of equal variance
    pattern = np.array([[1.0, -1, 0, 0, 0], [0, 0, 1, -1, 0], [-1, 1, -1, 1, 0]])
    pattern[2] = -pattern[:2].sum(0)
    table = np.array([-3.0, 0.0, 3.0])[:, None] + 1.0 + pattern
    variances = pattern.var(axis=1, ddof=1) / (1 - 1 / 3)
    found = shrunken_differences(table, RATIO)
    assert found is not None
    assert found.mean() == pytest.approx(1.0, abs=0.2)
    # between the smallest and the largest error that these variances allow
    shares = 1 - variances * correction(5, RATIO) / 9
    assert shares.min() - 1e-9 <= (found[2] - 1.0) / 3 <= shares.max() + 1e-9


def test_what_all_share_through_their_baseline_does_not_shrink_them():
    rng = np.random.default_rng(1)
    table = np.array([-2.0, 0.0, 2.0])[:, None] + 0.3 * rng.normal(size=(3, 5))
    shared = 9 * rng.normal(size=5)
    one, other = (shrunken_differences(t, RATIO) for t in (table, table + shared))
    assert other == pytest.approx(one + shared.mean())


def test_shrunken_differences_are_nearer_to_the_truth_and_less_so_boasted_by_the_best():
    rng = np.random.default_rng(0)
    raw_error = shrunken_error = raw_best = shrunken_best = 0.0
    for _ in range(200):
        truth = rng.normal(size=9)
        # folds correlate by 1/4, which is what a ratio of 1/3 assumes
        table = truth[:, None] + rng.normal(size=(9, 1)) + 3**0.5 * rng.normal(size=(9, 5))
        raw, found = table.mean(axis=1), shrunken_differences(table, RATIO)
        raw_error += ((raw - truth) ** 2).sum()
        shrunken_error += ((found - truth) ** 2).sum()
        best = raw.argmax()
        raw_best += raw[best] - truth[best]
        shrunken_best += found[best] - truth[best]
    assert shrunken_error < 0.9 * raw_error
    assert abs(shrunken_best) < 0.5 * raw_best


def test_two_variants_or_variants_without_scatter_are_left_as_they_are():
    assert shrunken_differences(np.eye(2, 5), RATIO) is None
    assert shrunken_differences(np.ones((4, 5)), RATIO) is None
