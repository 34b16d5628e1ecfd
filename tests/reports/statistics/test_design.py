"""Power, variance, ranks, effect sizes: what a design can show."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.power import TTestPower

from reports.statistics.effects import effect_sizes
from reports.statistics.power import detectable_difference, power_analysis, probability_to_find
from reports.statistics.ranks import friedman_nemenyi, nemenyi_critical_difference, rank_groups
from reports.statistics.variance import complete_block, split_differences, variance_components

RNG = np.random.default_rng


@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize("effect", [0.5, 1.0, 2.0])
def test_without_shared_data_power_is_statsmodels(folds: int, effect: float) -> None:
    expected = TTestPower().power(effect, folds, 0.05)
    found = probability_to_find(effect, 1.0, [1e-12] * folds)
    assert found == pytest.approx(expected, abs=1e-6)


def test_detectable_difference_is_found_with_the_asked_probability() -> None:
    ratio = [0.3, 0.35, 0.25, 0.3, 0.4]
    smallest = detectable_difference(1.7, ratio, power=0.8)
    assert probability_to_find(smallest, 1.7, ratio) == pytest.approx(0.8, abs=1e-6)
    assert detectable_difference(3.4, ratio) == pytest.approx(2 * smallest)
    assert detectable_difference(0.0, ratio) == 0.0


def test_detectable_difference_of_very_few_folds_and_strict_levels_is_finite() -> None:
    found = detectable_difference(1.0, [0.5, 0.5], level=0.05 / 19)
    assert 10 < found < 5000


def test_seeds_needed_really_suffice_and_one_fewer_does_not() -> None:
    rng = RNG(1)
    truth = rng.normal(0, 0.1, (5, 1))
    variant, baseline = truth + rng.normal(0, 2, (5, 4)), rng.normal(0, 2, (5, 4))
    ratio = [0.3] * 5
    found = power_analysis(variant, baseline, ratio, effect=2.0)
    split = split_differences(variant, baseline)
    assert found.seeds_needed is not None
    assert found.seeds_needed > 1

    def power(seeds: int) -> float:
        return probability_to_find(2.0, np.sqrt(split.between + split.within / seeds), ratio)

    assert power(found.seeds_needed) >= 0.8 > power(found.seeds_needed - 1)


def test_where_folds_disagree_no_number_of_seeds_suffices_but_more_folds_do() -> None:
    folds = np.array([-3.0, 4.0, 0.0, 2.0, -1.0])[:, None]
    noise = RNG(1).normal(0, 0.01, (5, 3))
    found = power_analysis(folds + noise, np.zeros((5, 3)), [0.3] * 5)
    assert found.seeds_needed is None
    assert found.folds_needed is not None
    assert found.folds_needed > 5
    assert found.detectable_low < found.detectable < found.detectable_high


def test_needs_come_with_the_interval_of_the_spread_they_rest_on() -> None:
    noise = RNG(5).normal(0, 2.0, (5, 4))
    found = power_analysis(noise, np.zeros((5, 4)), [0.3] * 5, effect=2.0, level=0.05 / 9)
    assert found.power_low < found.power_for_effect < found.power_high
    assert found.seeds_needed is not None
    assert found.seeds_low is not None
    assert found.seeds_low < found.seeds_needed
    assert found.seeds_high is None or found.seeds_high > found.seeds_needed
    alone = power_analysis(noise, np.zeros((5, 4)), [0.3] * 5, effect=2.0)
    assert alone.detectable < found.detectable
    lent = power_analysis(
        noise, np.zeros((5, 4)), [0.3] * 5, effect=2.0, level=0.05 / 9, degrees=16
    )
    assert lent.detectable < found.detectable
    assert lent.detectable_high / lent.detectable < found.detectable_high / found.detectable


def test_a_single_seed_says_nothing_about_seeds() -> None:
    found = power_analysis(RNG(2).normal(0, 3, (5, 1)), np.zeros((5, 1)), [0.3] * 5)
    assert found.seeds_needed is None
    assert found.seeds == 1


def simulated(v: int, k: int, s: int, deviations: dict[str, float], seed: int) -> np.ndarray:
    rng = RNG(seed)
    d = deviations
    return (
        d["fold"] * rng.normal(size=(1, k, 1))
        + d["seed"] * rng.normal(size=(1, k, s))
        + d["fold_by_variant"] * rng.normal(size=(v, k, 1))
        + d["rest"] * rng.normal(size=(v, k, s))
        + rng.normal(60, 2, (v, 1, 1))
    )


def test_variance_components_are_unbiased() -> None:
    truth = {"fold": 2.0, "seed": 1.0, "fold_by_variant": 0.8, "rest": 1.5}
    found = [variance_components(simulated(6, 30, 5, truth, seed)) for seed in range(40)]
    for name, deviation in truth.items():
        estimates = np.array([getattr(one, name) for one in found])
        error = estimates.std(ddof=1) / np.sqrt(len(estimates))
        assert abs(estimates.mean() - deviation**2) < 4 * error, name


def test_variance_components_equal_reml_where_none_is_negative() -> None:
    truth = {"fold": 2.0, "seed": 1.5, "fold_by_variant": 1.5, "rest": 1.0}
    table = simulated(5, 6, 4, truth, 3)
    found = variance_components(table)
    assert found.truncated == ()
    rows = pd.DataFrame(
        [(table[i, j, q], i, j, q) for i in range(5) for j in range(6) for q in range(4)],
        columns=["y", "variant", "fold", "seed"],
    )
    fit = smf.mixedlm(
        "y ~ C(variant)",
        rows,
        groups="fold",
        re_formula="1",
        vc_formula={"a_seed": "0 + C(seed)", "b_variant": "0 + C(variant)"},
    ).fit(reml=True)
    expected = [fit.cov_re.iloc[0, 0], fit.vcomp[0], fit.vcomp[1], fit.scale]
    mine = [found.fold, found.seed, found.fold_by_variant, found.rest]
    assert mine == pytest.approx([float(e) for e in expected], rel=2e-3)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_negative_components_become_zero_and_are_named() -> None:
    none = {"fold": 3.0, "seed": 0.0, "fold_by_variant": 0.0, "rest": 1.0}
    found = [variance_components(simulated(4, 5, 3, none, seed)) for seed in range(10)]
    named = [one for one in found if "fold_by_variant" in one.truncated]
    assert named
    assert all(one.fold_by_variant == 0 for one in named)


def test_advice_follows_the_scatter() -> None:
    lucky = {"fold": 1.0, "seed": 0.0, "fold_by_variant": 0.1, "rest": 3.0}
    assert "more seeds are" in variance_components(simulated(6, 5, 3, lucky, 0)).advice
    steady = {"fold": 1.0, "seed": 0.0, "fold_by_variant": 3.0, "rest": 0.3}
    assert "hardly help" in variance_components(simulated(6, 5, 3, steady, 0)).advice
    assert "second seed" in variance_components(simulated(6, 5, 1, steady, 0)).advice


def test_gaps_cost_the_seed_that_has_them_and_else_the_variant() -> None:
    table = RNG(0).normal(size=(3, 4, 5))
    table[0, 1, 2] = np.nan
    assert complete_block(table).shape == (3, 4, 4)
    table[1, 2, :] = np.nan
    assert complete_block(table).shape == (1, 4, 5)
    table[2, :, :] = np.nan
    assert complete_block(table[[0, 2]]).shape == (1, 4, 4)
    with pytest.raises(ValueError, match="two variants"):
        variance_components(table[[0, 2]])


def test_split_of_differences_by_hand() -> None:
    # folds' means 1 and 3: variance 2; inside folds variance 2 each, halved by two seeds
    found = split_differences([[0.0, 2.0], [2.0, 4.0]], np.zeros((2, 2)))
    assert (found.between, found.within, found.seeds, found.folds) == (1.0, 2.0, 2, 2)


def test_effect_sizes_by_hand() -> None:
    paired = np.array([2.0, 4.0, 0.0, -2.0])
    found = effect_sizes(paired)
    assert found.d_z == pytest.approx(1 / np.sqrt(20 / 3))
    assert found.wins == 2
    assert np.isnan(effect_sizes([1.0, 1.0]).d_z)


def test_friedmans_statistic_agrees_with_scipy_with_and_without_ties() -> None:
    rng = RNG(0)
    for scores in (rng.normal(size=(4, 6)), rng.integers(0, 3, (5, 8)).astype(float)):
        expected = stats.friedmanchisquare(*scores)
        assert friedman_nemenyi(scores, rng=rng).statistic == pytest.approx(expected.statistic)


def test_nemenyi_difference_is_demsars_table_and_scikit_posthocs() -> None:
    # Demšar (2006), table 5(a): q 0.05 is 2.343 for two … 2.569 for four classifiers; his
    # example has four classifiers on 14 data sets: 2.569 √(4·5 / (6·14)) = 1.25
    assert nemenyi_critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = RNG(1).normal(size=(4, 12)) + np.arange(4)[:, None]
    p = posthocs.posthoc_nemenyi_friedman(scores.T).to_numpy()
    found = friedman_nemenyi(scores, rng=RNG(0))
    apart = np.abs(found.mean_ranks[:, None] - found.mean_ranks[None, :])
    assert ((apart > found.critical_difference) == (p < 0.05)).all()


def test_two_variants_on_five_folds_cannot_be_told_apart_by_ranks() -> None:
    found = friedman_nemenyi([[1, 2, 3, 4, 5], [0, 1, 2, 3, 4]], rng=RNG(0))
    assert found.smallest_p == 0.0625
    assert not found.reachable
    assert found.p == pytest.approx(0.0625, abs=0.01)
    assert friedman_nemenyi(RNG(1).normal(size=(6, 5)), rng=RNG(0)).reachable


def test_ranks_that_are_close_share_a_bar_and_no_bar_lies_inside_another() -> None:
    groups = rank_groups(np.array([1.0, 4.0, 1.5, 2.6, 3.9]), 1.2)
    assert groups == ((0, 2), (2, 3), (4, 1))


def test_ranks_that_all_differ_have_no_bar() -> None:
    # scikit-posthocs#82 drew one bar over everything here
    assert rank_groups(np.array([5.0, 1.0, 3.0]), 1.5) == ()
