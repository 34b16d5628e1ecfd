import numpy as np
import pytest
from scipy import stats

from bench.training import metrics
from reports.statistics.bootstrap import paired_bootstrap
from reports.statistics.permutation import (
    block_contributions,
    flip_interval,
    sign_flip_test,
    sign_table,
)

RNG = np.random.default_rng


def utterances(seed: int, n: int = 200) -> dict[str, np.ndarray]:
    rng = RNG(seed)
    speakers = rng.integers(0, 10, n)
    return {
        "truths": rng.integers(0, 4, n),
        "speakers": speakers,
        "folds": speakers // 2,
        "one": rng.integers(0, 2, (3, n)).astype(float),
        "other": rng.integers(0, 2, (3, n)).astype(float),
    }


def test_contributions_of_speakers_add_up_to_the_difference_of_fold_mean_uar() -> None:
    u = utterances(0)
    shares = block_contributions(
        u["one"].mean(0), u["other"].mean(0), u["truths"], u["folds"], u["speakers"]
    )

    def fold_mean(right: np.ndarray) -> float:
        said = np.where(right == 1, u["truths"], (u["truths"] + 1) % 4)
        scores = [
            metrics.uar(u["truths"][u["folds"] == f], said[:, u["folds"] == f], 4) for f in range(5)
        ]
        return 100 * float(np.mean(scores))

    assert shares.sum() == pytest.approx(fold_mean(u["one"]) - fold_mean(u["other"]), abs=1e-10)
    assert shares.shape == (10,)


def test_a_fold_without_results_contributes_nothing_and_does_not_dilute_the_mean() -> None:
    u = utterances(1)
    one = np.where(u["folds"] == 2, np.nan, u["one"][0])
    kept = u["folds"] != 2
    with_gap = block_contributions(one, u["other"][0], u["truths"], u["folds"], u["speakers"])
    alone = block_contributions(
        one[kept], u["other"][0][kept], u["truths"][kept], u["folds"][kept], u["speakers"][kept]
    )
    assert with_gap == pytest.approx(alone)
    assert with_gap[[4, 5]].tolist() == [0, 0]


def test_interval_of_sign_flips_holds_what_their_test_does_not_reject() -> None:
    rng = RNG(3)
    given, shares = rng.normal(0.4, 1.0, 9), rng.dirichlet(np.ones(9))
    low, high = flip_interval(given, shares, rng=rng)
    assert low < given.sum() < high
    for end, outwards in ((low, -1), (high, 1)):
        inside, outside = (
            sign_flip_test([given - (end + outwards * step) * shares], rng=rng).p[0]
            for step in (-1e-6, 1e-6)
        )
        assert inside > 0.05 >= outside


def test_interval_of_equal_blocks_is_the_one_of_all_walsh_like_means() -> None:
    # the widest of 2^6 patterns that 5 % of them reach: by trying differences one after another
    given, shares = np.array([1.0, 2.0, 4.0, -1.0, 3.0, 2.5]) / 6, np.full(6, 1 / 6)
    tried = np.linspace(-3, 6, 1801)
    kept = [d for d in tried if sign_flip_test([given - d * shares], rng=RNG(0)).p[0] > 0.05]
    assert flip_interval(given, shares, rng=RNG(0)) == pytest.approx(
        (min(kept), max(kept)), abs=0.006
    )


def test_interval_of_too_few_blocks_is_endless() -> None:
    assert flip_interval([1.0, 2.0, 3.0], np.full(3, 1 / 3), rng=RNG(0)) == (-np.inf, np.inf)


def test_sign_flips_by_hand() -> None:
    # |Σ| of ±1 ±2 ±3 is 6 for two of the eight patterns: all plus, all minus
    found = sign_flip_test([[1.0, 2.0, 3.0]], rng=RNG(0))
    assert found.p.tolist() == [2 / 8]
    # 2 + 3 − 1 = 4 or more: +++, −++, and their mirrors
    assert sign_flip_test([[-1.0, 2.0, 3.0]], rng=RNG(0)).p.tolist() == [4 / 8]
    assert sign_table(3).sum(axis=0).tolist() == [0, 0, 0]


def test_one_variant_agrees_with_scipys_permutation_test() -> None:
    rng = RNG(5)
    for _ in range(5):
        shares = rng.normal(0.2, 0.5, 9)
        expected = stats.permutation_test(
            (shares,),
            lambda x, axis: np.abs(np.sum(x, axis=axis)),
            permutation_type="samples",
            vectorized=True,
            alternative="greater",
            n_resamples=np.inf,
        )
        assert sign_flip_test([shares], rng=rng).p[0] == pytest.approx(expected.pvalue)


def test_five_folds_can_never_be_significant_and_ten_speakers_can() -> None:
    five = sign_flip_test([[1.0, 1.0, 1.0, 1.0, 1.0]], rng=RNG(0))
    assert five.p.tolist() == [0.0625]
    assert (five.smallest_p, five.reachable) == (0.0625, False)
    ten = sign_flip_test([np.ones(10)], rng=RNG(0))
    assert ten.p.tolist() == [2 / 1024]
    assert ten.reachable


def test_max_t_is_at_least_the_single_p_and_at_most_bonferronis() -> None:
    shares = RNG(6).normal(0.3, 0.5, (7, 10))
    found = sign_flip_test(shares, rng=RNG(0))
    assert (found.adjusted >= found.p).all()
    assert (found.adjusted <= np.minimum(1, 7 * found.p) + 1e-12).all()


def test_equal_variants_do_not_make_the_family_larger() -> None:
    shares = RNG(7).normal(0.3, 0.5, 10)
    alone = sign_flip_test([shares], rng=RNG(0))
    copies = sign_flip_test([shares, shares, -shares, np.zeros(10)], rng=RNG(0))
    assert copies.adjusted[:3] == pytest.approx([alone.p[0]] * 3)
    assert copies.adjusted[3] == 1.0


def test_many_blocks_are_sampled_and_never_give_p_zero() -> None:
    found = sign_flip_test([np.ones(40)], rng=RNG(0))
    assert not found.exact
    assert found.p[0] == 1 / (found.flips + 1)
    rough = RNG(8).normal(0.25, 1, 18)
    sampled = sign_flip_test([rough], rng=RNG(0)).p[0]
    sums = np.abs(sign_table(18) @ rough)
    exact = float(np.mean(sums >= abs(rough.sum()) - 1e-9))
    assert sampled == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_bootstrap_estimate_is_the_difference_of_pooled_uar() -> None:
    u = utterances(2)
    said = [np.where(u[k] == 1, u["truths"], (u["truths"] + 1) % 4) for k in ("one", "other")]
    one, other = (100 * metrics.uar(u["truths"], s, 4).mean() for s in said)
    found = paired_bootstrap(
        u["one"].mean(0), u["other"].mean(0), u["truths"], u["speakers"], rng=RNG(0)
    )
    assert found.difference == pytest.approx(one - other, abs=1e-10)
    assert found.low < found.difference < found.high
    assert found.units == 10


def test_bootstrap_of_single_utterances_of_one_class_agrees_with_scipy() -> None:
    rng = RNG(10)
    one, other = rng.integers(0, 2, (2, 300)).astype(float)
    found = paired_bootstrap(
        one, other, np.zeros(300, int), np.arange(300), rng=RNG(0), resamples=20_000
    )
    expected = stats.bootstrap(
        (100 * (one - other),), np.mean, method="percentile", n_resamples=20_000, rng=RNG(1)
    )
    # a t interval of 300 units is 0.6 % wider than percentiles; the rest is the bootstraps' noise
    assert found.standard_error == pytest.approx(expected.standard_error, rel=0.03)
    bounds = expected.confidence_interval
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), abs=0.4)


def test_ten_units_of_one_class_give_the_one_sample_t_interval() -> None:
    gain = RNG(12).normal(0.1, 0.3, 10)
    found = paired_bootstrap(
        gain, np.zeros(10), np.zeros(10, int), np.arange(10), rng=RNG(0), resamples=50_000
    )
    expected = stats.ttest_1samp(100 * gain, 0).confidence_interval(0.95)
    # 50,000 resamples know a standard error to 0.3 %
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)


def test_resampling_whole_dialogues_is_wider_than_resampling_utterances() -> None:
    rng = RNG(11)
    dialog = np.repeat(np.arange(20), 30)
    gain = np.repeat(rng.normal(0, 0.3, 20), 30) + rng.normal(0, 0.1, 600)
    truths = rng.integers(0, 4, 600)
    whole = paired_bootstrap(gain, np.zeros(600), truths, dialog, rng=RNG(0))
    single = paired_bootstrap(gain, np.zeros(600), truths, np.arange(600), rng=RNG(0))
    assert whole.standard_error > 3 * single.standard_error


def test_a_bootstrap_of_one_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="two units"):
        paired_bootstrap([1, 0], [0, 0], [0, 1], [7, 7], rng=RNG(0))


def test_bootstrap_p_agrees_with_its_interval() -> None:
    rng = np.random.default_rng(8)
    for _ in range(40):
        share = rng.uniform(size=(2, 90)) + np.array([[0.1], [0.0]])
        found = paired_bootstrap(
            *share, rng.integers(0, 3, 90), np.arange(90) // 9, rng=rng, resamples=200
        )
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
