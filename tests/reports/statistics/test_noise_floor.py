import numpy as np
import pytest

from reports.statistics.noise_floor import noise_floor


def test_noise_floor_holds_95_percent_of_differences_between_a_variants_own_seeds() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        ability = rng.normal(60, 5, (3, 4, 1))
        runs = ability + 1.5 * rng.standard_normal((3, 4, 4))
        found = noise_floor(runs[..., :2])
        assert found is not None
        fresh = runs[..., 2:].mean(axis=1)  # two more seeds of each variant, over folds
        inside += (np.abs(fresh[:, 0] - fresh[:, 1]) <= found.single).tolist()
    assert np.mean(inside) == pytest.approx(0.95, abs=3.5 * (0.05 * 0.95 / 1200) ** 0.5)


def test_averages_of_four_seeds_lie_half_as_far_apart() -> None:
    found = noise_floor(np.random.default_rng(1).standard_normal((5, 3, 4)))
    assert found is not None
    assert found.averaged == pytest.approx(found.single / 2)
    assert (found.degrees, found.folds) == (45, 3)


def test_one_seed_has_no_noise_floor_and_left_out_runs_do_not_count() -> None:
    assert noise_floor(np.ones((4, 5, 1))) is None
    table = np.random.default_rng(2).standard_normal((2, 2, 3))
    found = noise_floor(table)
    gap = table.copy()
    gap[0, 0, 2] = np.nan
    assert noise_floor(gap) != found
