import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.statistics.corrected_t import corrected_t_test, seed_averaged_differences
from reports.statistics.multiplicity import holm


def test_five_folds_computed_by_hand() -> None:
    # mean 3, s² 2.5, variance of the mean (1/5 + 1/4) 2.5 = 1.125, so t = 3 / √1.125 = 2√2
    test = corrected_t_test([1, 2, 3, 4, 5], [0.25] * 5)
    assert test.statistic == pytest.approx(2 * np.sqrt(2), rel=1e-12)
    assert test.standard_error == pytest.approx(np.sqrt(1.125), rel=1e-12)
    # Student's distribution with 4 degrees of freedom in closed form, at t² = 8
    below = 0.5 + 0.375 * np.sqrt(8 / 3) * (1 - 8 / 36)
    assert test.p == pytest.approx(2 * (1 - below), rel=1e-10)
    assert (test.low, test.high) == pytest.approx((3 - 2.776445 * 1.0606602, 5.944864), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_with_equal_folds_it_agrees_with_baycomp(seed: int) -> None:
    baycomp = pytest.importorskip("baycomp")
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, 5))
    worse, better = baycomp.CorrelatedTTest.probs(one, other)
    test = corrected_t_test(other - one, [0.25] * 5)
    assert test.p == pytest.approx(2 * min(worse, better), rel=1e-9)


def test_without_shared_training_data_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0.4, 1, 12)
    test = corrected_t_test(differences, [1e-12] * 12)
    plain = stats.ttest_1samp(differences, 0.0)
    assert test.p == pytest.approx(plain.pvalue, rel=1e-9)
    interval = plain.confidence_interval(0.95)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_each_folds_own_ratio_counts() -> None:
    differences = [0.1, 1.2, 0.3, 2.0, 0.9]
    even = corrected_t_test(differences, [0.3] * 5)
    uneven = corrected_t_test(differences, [0.2, 0.4, 0.3, 0.25, 0.35])
    smaller = corrected_t_test(differences, [0.2] * 5)
    assert uneven.p == pytest.approx(even.p)
    assert smaller.p < even.p


def test_p_and_interval_agree_on_whether_zero_is_excluded() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        test = corrected_t_test(rng.normal(1, 1, 5), [1 / 3] * 5, confidence=0.95)
        assert (test.p < 0.05) == (test.low > 0 or test.high < 0)


def test_two_equal_variants_give_p_one_and_a_constant_gain_gives_p_zero() -> None:
    assert corrected_t_test([0.0] * 5, [0.25] * 5).p == 1.0
    assert corrected_t_test([0.1 + 0.2] * 4 + [0.3], [0.25] * 5).p == 0.0


@pytest.mark.parametrize(
    ("differences", "ratio", "named"),
    [
        ([1.0], [0.25], "at least 2"),
        ([1.0, np.nan], [0.25, 0.25], "not finite"),
        ([1.0, 2.0], [0.25], "1 values for 2 folds"),
        ([1.0, 2.0], [0.25, 0.0], "positive"),
    ],
)
def test_arguments_that_make_no_test_are_refused(
    differences: list[float], ratio: list[float], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        corrected_t_test(differences, ratio)


def test_seeds_are_averaged_over_those_both_have() -> None:
    variant = np.array([[70.0, 72.0, np.nan], [60.0, np.nan, np.nan], [50.0, 51.0, 52.0]])
    baseline = np.array([[69.0, np.nan, 80.0], [np.nan, 61.0, 61.0], [50.0, 50.0, 50.0]])
    differences, usable = seed_averaged_differences(variant, baseline)
    assert usable.tolist() == [True, False, True]
    assert differences[usable].tolist() == [1.0, 1.0]
    assert np.isnan(differences[1])


def test_holm_by_hand_in_the_order_given() -> None:
    # sorted 0.01 0.02 0.03 0.04, times 4 3 2 1 = 0.04 0.06 0.06 0.04, made monotone
    assert holm([0.03, 0.01, 0.04, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(2)
    for _ in range(2):  # statsmodels takes 60 ms for one
        p = rng.uniform(size=7) ** 3
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_a_comparison_that_was_not_made_does_not_enlarge_the_family() -> None:
    adjusted = holm([0.02, np.nan, 0.04])
    assert np.isnan(adjusted[1])
    assert adjusted[[0, 2]].tolist() == pytest.approx([0.04, 0.04])
