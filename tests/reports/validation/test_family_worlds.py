"""The worlds of families scatter and correlate as their names say."""

import numpy as np
import pytest

from reports.statistics.means import seed_means
from reports.validation.family_worlds import NOISY, FamilyWorld, Scatter, draw_differences
from reports.validation.worlds import ASSUMED

STUDIES = 4000


@pytest.mark.parametrize("scatter", NOISY)
def test_last_variants_scatter_three_times_as_much_and_folds_correlate_as_assumed(
    scatter: Scatter,
) -> None:
    world = FamilyWorld(comparisons=6, scatter=scatter)
    table = seed_means(draw_differences(world, STUDIES, np.random.default_rng(0)))
    noisy = round(6 * NOISY[scatter])
    base = 0.2 if "calm baseline" in scatter else 1.0
    variance = table.var(axis=(0, 2))
    ratio = variance[-noisy:].mean() / variance[:-noisy].mean()
    assert ratio == pytest.approx((9 + base**2) / (1 + base**2), rel=0.1)
    between = [
        np.asarray(np.corrcoef(one.T))[np.triu_indices(5, 1)].mean() for one in table.swapaxes(0, 1)
    ]
    assert np.mean(between) == pytest.approx(ASSUMED, abs=0.03)
    # differences share the baseline's variance, and what correlated variants have in common
    found = np.asarray(np.corrcoef(table[:, -noisy:].swapaxes(1, 2).reshape(-1, noisy).T))
    own = 0.8 * 9 if "correlated" in scatter else 0.0
    expected = (own + base**2) / (9 + base**2)
    assert found[np.triu_indices(noisy, 1)].mean() == pytest.approx(expected, abs=0.03)


def test_with_two_baselines_one_whole_direction_is_noisy() -> None:
    world = FamilyWorld(comparisons=6, baselines=2, scatter="half noisy, correlated 0.8")
    table = seed_means(draw_differences(world, STUDIES, np.random.default_rng(0)))
    variance = table.var(axis=(0, 2))
    assert variance[3:] == pytest.approx(5 * variance[:3], rel=0.15)
