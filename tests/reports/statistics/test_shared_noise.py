"""What a baseline adds to the scatter of all comparisons is told from what a variant adds."""

import numpy as np
import pytest

from reports.statistics.shared_noise import split_noise


def test_noisy_variant_stands_out_of_the_residuals_more_than_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    runs = rng.standard_normal((4000, 13, 5))
    runs[:, 0] *= 2.0  # the baseline
    runs[:, 1] *= 5.0
    differences = runs[:, 1:] - runs[:, :1]
    found = split_noise(differences, np.zeros(12))
    own = differences.var(axis=-1, ddof=1)
    # medians: a variance of four degrees is a tenth of its mean now and then
    assert np.median(own[:, 0]) < 7 * np.median(own[:, 1:])
    assert np.median(found.residual[:, 0]) > 15 * np.median(found.residual[:, 1:])
    # the baseline's variance is 4; weights lean to comparisons that scattered little by chance, so
    # that less of it is seen, and p are adjusted as if less were shared
    assert 3.0 < found.shared.mean() < 4.0


def test_comparison_alone_with_its_baseline_shares_nothing() -> None:
    differences = np.random.default_rng(1).standard_normal((3, 5))
    found = split_noise(differences, [0, 0, 1])
    assert found.residual[2] == pytest.approx(differences[2].var(ddof=1))
    assert found.shared[2] == 0


def test_variants_that_are_the_same_leave_a_residual_all_the_same() -> None:
    one = np.random.default_rng(2).standard_normal(5)
    found = split_noise(np.stack([one] * 6), np.zeros(6))
    assert (found.residual > 0).all()
    assert found.shared == pytest.approx(np.full(6, one.var(ddof=1)))
