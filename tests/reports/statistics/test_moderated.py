import numpy as np
import pytest

from reports.statistics.corrected_t import corrected_t_test
from reports.statistics.moderated import moderated_t_tests, shared_degrees

RATIO = [1 / 3] * 5


def test_comparisons_with_one_baseline_know_at_most_sixteen_degrees_in_five_folds() -> None:
    assert shared_degrees(4, [0]) == 4
    # nine that share a baseline: 4 · 81 / (9 + 72 / 4)
    assert shared_degrees(4, ["tanh"] * 9) == pytest.approx(12)
    assert shared_degrees(4, [0] * 10_000) == pytest.approx(16, rel=1e-3)
    # two baselines know twice as much as one
    assert shared_degrees(4, [0] * 9 + [1] * 9) == pytest.approx(24)


def test_shared_degrees_are_those_of_simulated_mean_variances() -> None:
    x = np.random.default_rng(0).standard_normal((20_000, 10, 5))
    pooled = (x[:, 1:] - x[:, :1]).var(axis=-1, ddof=1).mean(axis=-1)
    # degrees = 2 mean² / variance, known to 1.5 % from 20,000 draws
    assert 2 * pooled.mean() ** 2 / pooled.var() == pytest.approx(
        shared_degrees(4, [0] * 9), rel=0.05
    )


def test_variances_lie_between_their_own_and_the_familys() -> None:
    rng = np.random.default_rng(1)
    table = rng.standard_normal((12, 5))
    found = moderated_t_tests(table, RATIO, np.zeros(12))
    own, prior = table.std(axis=1, ddof=1), found.prior_spread
    between = (np.minimum(own, prior) <= found.spread) & (found.spread <= np.maximum(own, prior))
    assert between.all()
    assert (found.degrees > 4).all()
    assert (found.degrees <= shared_degrees(4, np.zeros(12)) + 1e-9).all()
    assert (found.mean == table.mean(axis=1)).all()


def test_noisy_variant_keeps_its_own_variance_and_nearly_its_own_p() -> None:
    rng = np.random.default_rng(2)
    table = rng.standard_normal((12, 5))
    table[3] *= 20
    found = moderated_t_tests(table, RATIO, np.zeros(12))
    alone = corrected_t_test(table[3], RATIO)
    # lent is in proportion to a cube root, which leaves a little to the noisiest
    assert found.degrees[3] == pytest.approx(4, abs=0.3)
    assert found.p[3] == pytest.approx(alone.p, rel=0.05)
    calm = moderated_t_tests(np.delete(table, 3, axis=0), RATIO, np.zeros(11))
    assert found.spread[0] == pytest.approx(calm.spread[0], rel=0.1)


def test_many_studies_at_once_are_each_by_itself() -> None:
    studies = np.random.default_rng(3).standard_normal((7, 11, 5))
    together = moderated_t_tests(studies, RATIO, np.zeros(11))
    for k, study in enumerate(studies):
        alone = moderated_t_tests(study, RATIO, np.zeros(11))
        assert together.p[k] == pytest.approx(alone.p, rel=1e-6)


@pytest.mark.parametrize("table", [np.zeros((1, 5)), np.zeros((3, 1)), np.full((3, 5), np.nan)])
def test_families_that_share_nothing_are_refused(table: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite and"):
        moderated_t_tests(table, RATIO[: table.shape[1]], np.zeros(len(table)))


def test_family_that_hardly_varies_is_refused() -> None:
    with pytest.raises(ValueError, match="zero"):
        moderated_t_tests(np.ones((7, 5)), RATIO, np.zeros(7))
