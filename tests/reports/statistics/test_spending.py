import numpy as np
import pytest
from scipy import stats

from reports.statistics.spending import look_levels


def test_one_look_has_the_whole_level() -> None:
    assert look_levels([1.0]) == pytest.approx((0.05,))


def test_five_even_looks_have_the_bounds_of_lan_and_demets_program() -> None:
    bounds = stats.norm.isf(np.array(look_levels([0.2, 0.4, 0.6, 0.8, 1.0])) / 2)
    assert bounds == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=3e-4)


def test_all_looks_together_keep_the_level() -> None:
    times = np.array([0.125, 0.25, 0.5, 1.0])
    rng = np.random.default_rng(0)
    steps = np.sqrt(np.diff(times, prepend=0.0)) * rng.standard_normal((200_000, 4))
    z = np.abs(steps.cumsum(axis=1)) / np.sqrt(times)
    bounds = stats.norm.isf(np.array(look_levels(times.tolist())) / 2)
    # a rate of 5 % in 200,000 studies is known to 0.05 points
    assert (z > bounds).any(axis=1).mean() == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("fractions", [[], [0.0, 1.0], [0.5, 0.5], [0.5, 1.2]])
def test_looks_that_do_not_rise_to_one_are_refused(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="rising"):
        look_levels(fractions)
