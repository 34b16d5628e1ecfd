"""Adjusted p of comparisons that share a baseline, against Dunnett's table and by hand."""

import numpy as np
import pytest
from scipy import stats

from reports.statistics.multiplicity import holm
from reports.statistics.one_baseline import step_down

P = [0.021, 0.004, 0.6, 0.012]


# two-sided 5 % points of the largest |t| of k comparisons with one control and endless degrees of
# freedom: Dunnett, New tables for multiple comparisons with a control, Biometrics 20, 1964
@pytest.mark.parametrize(
    ("k", "critical"), [(1, 1.96), (2, 2.21), (3, 2.35), (4, 2.44), (5, 2.51), (6, 2.57), (9, 2.69)]
)
def test_first_step_is_dunnetts_where_variances_are_known(k: int, critical: float) -> None:
    p = 2 * stats.norm.sf(critical)
    found = step_down([p, *[1.0] * (k - 1)], np.full(k, 0.5), np.zeros(k), 1_000_000)
    assert found[0] == pytest.approx(0.05, abs=8e-4)  # of critical values with two decimals


def test_comparisons_that_share_nothing_are_adjusted_as_independent() -> None:
    found = step_down(P, np.zeros(4), np.zeros(4), 4)
    one_by_one = [1 - (1 - 0.004) ** 4, 1 - (1 - 0.012) ** 3, 1 - (1 - 0.021) ** 2, 0.6]
    assert found == pytest.approx(np.array(one_by_one)[[2, 0, 3, 1]], rel=1e-3)


def test_comparisons_with_different_baselines_are_independent_of_each_other() -> None:
    share = np.full(2, 0.5)
    apart = step_down([0.01, 0.01], share, [0, 1], 4)
    assert apart == pytest.approx(1 - 0.99**2, rel=1e-3)
    assert step_down([0.01, 0.01], share, [0, 0], 4)[0] < 0.9 * apart[0]


def test_what_a_step_judges_is_the_family_without_what_was_found_before() -> None:
    share, baselines = np.array([0.5, 0.4, 0.2, 0.3]), np.zeros(4)
    found = step_down(P, share, baselines, 4)
    without = step_down(np.delete(P, 1), np.delete(share, 1), np.zeros(3), 4)
    assert np.delete(found, 1) == pytest.approx(without)
    assert (found <= holm(P)).all()
    assert found[1] < found[3] < found[0] <= found[2]


def test_p_that_is_not_asked_for_is_never_too_small() -> None:
    rng = np.random.default_rng(0)
    share, baselines = rng.uniform(0, 0.5, (50, 9)), np.repeat([0, 1, 2], 3)
    p = rng.uniform(0, 1, (50, 9)) ** 3
    whole = step_down(p, share, baselines, 4)
    asked = p < 0.05
    found = step_down(p, share, baselines, 4, asked=asked)
    assert found[asked] == pytest.approx(whole[asked], rel=1e-12)
    assert (found >= whole * (1 - 1e-12)).all()


def test_p_outside_zero_and_one_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        step_down([0.2, 1.2], [0.5, 0.5], [0, 0], 4)
