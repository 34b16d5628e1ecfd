import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.weightstats import DescrStatsW

from reports.statistics.bayes import correlated_t_posterior, probability_better
from reports.statistics.corrected_t import corrected_t_test
from reports.statistics.equivalence import equivalence_test


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rope", [0.5, 1.0])
def test_with_equal_folds_the_posterior_agrees_with_baycomp(seed: int, rope: float) -> None:
    baycomp = pytest.importorskip("baycomp")
    rng = np.random.default_rng(seed)
    baseline, variant = rng.normal(66, 2, (2, 10))
    expected = baycomp.two_on_single(baseline, variant, rope=rope)
    found = correlated_t_posterior(variant - baseline, [1 / 9] * 10, rope=rope)
    assert (found.worse, found.equal, found.better) == pytest.approx(expected, abs=1e-12)


def test_posterior_integrates_the_density_with_the_folds_own_ratios() -> None:
    differences, ratio = np.array([0.2, 1.9, -0.4, 1.1, 0.7]), np.array([0.3, 0.4, 0.25, 0.35, 0.3])
    scale = np.sqrt((1 / 5 + ratio.mean()) * differences.var(ddof=1))
    density = stats.t(4, differences.mean(), scale).pdf
    inside = integrate.quad(density, -1, 1)[0]
    posterior = correlated_t_posterior(differences, ratio)
    assert posterior.equal == pytest.approx(inside, abs=1e-8)
    assert posterior.worse + posterior.equal + posterior.better == pytest.approx(1)


def test_credible_interval_is_the_corrected_t_tests() -> None:
    differences, ratio = [0.2, 1.9, -0.4, 1.1, 0.7], [0.3] * 5
    posterior = correlated_t_posterior(differences, ratio)
    test = corrected_t_test(differences, ratio)
    assert (posterior.low, posterior.high) == (test.low, test.high)


def test_two_constant_variants_are_certainly_equal() -> None:
    posterior = correlated_t_posterior([0.0] * 5, [0.25] * 5)
    assert (posterior.worse, posterior.equal, posterior.better) == (0.0, 1.0, 0.0)
    undecided = correlated_t_posterior([0.0] * 5, [0.25] * 5, rope=0)
    assert (undecided.worse, undecided.better) == (0.5, 0.5)


def test_matrix_of_probabilities_is_complementary_and_leaves_gaps_out() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(60, 2, (4, 5))
    scores[1, 2] = np.nan
    matrix = probability_better(scores, [0.3] * 5)
    assert matrix + matrix.T == pytest.approx(np.where(np.eye(4), np.nan, 1.0), nan_ok=True)
    kept = [0, 1, 3, 4]
    alone = correlated_t_posterior((scores[0] - scores[1])[kept], [0.3] * 4, rope=0)
    assert matrix[0, 1] == pytest.approx(alone.better)


def test_without_shared_data_equivalence_is_the_textbook_tost() -> None:
    rng = np.random.default_rng(3)
    differences = rng.normal(0.1, 0.5, 12)
    expected = DescrStatsW(differences).ttost_mean(-1, 1)[0]
    found = equivalence_test(differences, [1e-12] * 12, margin=1.0)
    assert found.p == pytest.approx(float(expected), rel=1e-8)


def test_equivalence_by_hand() -> None:
    # mean 0, s² 2.5, corrected standard error √1.125: t = (4 − 0) / √1.125, 4 degrees of freedom
    found = equivalence_test([-2, -1, 0, 1, 2], [0.25] * 5, margin=4.0)
    assert found.p == pytest.approx(stats.t.sf(4 / np.sqrt(1.125), 4))
    assert found.equivalent
    assert found.p == found.smallest_p
    assert found.smallest_margin == pytest.approx(stats.t.ppf(0.95, 4) * np.sqrt(1.125))


def test_p_below_the_level_and_interval_inside_the_margin_are_the_same_thing() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        found = equivalence_test(rng.normal(0.3, 0.5, 5), [0.25] * 5)
        assert found.equivalent == (found.low > -1 and found.high < 1)


def test_equivalence_that_no_mean_could_have_shown_is_called_unreachable() -> None:
    wide = equivalence_test([-3.0, 3.0, 0.0, -2.0, 2.0], [0.25] * 5)
    assert not wide.reachable
    assert not wide.equivalent
    narrow = equivalence_test([0.9, 1.1, 1.0, 1.2, 0.8], [0.25] * 5)
    assert narrow.reachable
    assert not narrow.equivalent


def test_impossible_margins_are_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        equivalence_test([1, 2], [0.3, 0.3], margin=0)
    with pytest.raises(ValueError, match="rope"):
        correlated_t_posterior([1, 2], [0.3, 0.3], rope=-1)
