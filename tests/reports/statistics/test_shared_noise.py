"""What a baseline adds to the scatter of all comparisons is told from what a variant adds."""

import numpy as np
import pytest

from reports.statistics.shared_noise import baseline_variance, split_noise


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


def test_baseline_s_own_variance_is_found_without_the_variants() -> None:
    rng = np.random.default_rng(3)
    runs = rng.standard_normal((4000, 14, 5))
    runs[:, 0] *= 2.0  # the baseline of the first twelve
    differences = np.concatenate([runs[:, 1:13] - runs[:, :1], runs[:, 13:] - 0.0], axis=1)
    found = baseline_variance(differences, [*[0] * 12, 1], np.ones((4000, 13)))
    assert found[:, 0].mean() == pytest.approx(4 + 1 / 12, abs=0.15)  # and a twelfth of theirs
    assert (found[:, :12] == found[:, :1]).all()
    assert found[:, 12] == pytest.approx(differences[:, 12].var(axis=-1, ddof=1))
