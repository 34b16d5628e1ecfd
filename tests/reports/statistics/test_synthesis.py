"""Several corpora: what can be worked out by hand; metafor's figures are in tests/oracles."""

import numpy as np
import pytest
from scipy import stats

from reports.statistics.synthesis import best_guesses, random_effects


def test_equally_exact_corpora_have_the_plain_mean_and_the_plain_t_test():
    y = np.array([1.0, 4.0, -2.0, 5.0])
    found = random_effects(y, [0.5] * 4)
    t, p = stats.ttest_1samp(y, 0.0)
    assert found.mean == pytest.approx(2.0)
    assert found.mean / found.standard_error == pytest.approx(t)
    assert found.p_knapp == pytest.approx(p)
    assert found.equal.p == pytest.approx(p)
    # by hand: variance of the values, less that of the errors
    assert found.tau**2 == pytest.approx(y.var(ddof=1) - 0.25)


def test_two_corpora_promise_nothing_about_a_third():
    found = random_effects([3.0, 3.4], [1.0, 1.0])
    assert found.new_truth is None
    assert found.p > 0.05
    # t with one degree of freedom: 12.7 standard errors either way
    assert found.high - found.mean == pytest.approx(12.7062 / 2**0.5, rel=1e-4)


def test_interval_for_a_new_study_is_the_classical_one():
    y = np.array([1.0, 2.0, 3.0])
    found = random_effects(y, [0.1, 0.2, 0.3])
    reach = stats.t.ppf(0.975, 2) * 1.0 * (4 / 3) ** 0.5
    assert (found.new_study.low, found.new_study.high) == pytest.approx((2 - reach, 2 + reach))


def test_corpora_alike_by_chance_are_not_taken_for_exact():
    found = random_effects([2.0, 2.001, 1.999], [1.0, 1.0, 1.0])
    assert found.tau == 0
    assert found.standard_error == pytest.approx(1 / 3**0.5)  # not 0.0006


def test_best_guesses_of_equal_variances_shrink_all_alike_towards_the_mean():
    y = np.array([-3.0, 0.0, 3.0])
    guesses = best_guesses(y, [3.0, 3.0, 3.0])
    # by hand: the values' variance is 9, the errors' 3, so a third of each deviation is error
    assert guesses == pytest.approx([-2.0, 0.0, 2.0])


@pytest.mark.parametrize(
    ("y", "error", "told"),
    [
        ([1.0], [1.0], "at least 2"),
        ([1.0, 2.0], [1.0, 0.0], "positive"),
        ([1.0, np.nan], [1.0, 1.0], "not finite"),
    ],
)
def test_what_cannot_be_synthesised_is_refused(y, error, told):
    with pytest.raises(ValueError, match=told):
        random_effects(y, error)
