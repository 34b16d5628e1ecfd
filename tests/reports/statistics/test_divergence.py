import numpy as np
import pytest

from reports.statistics.divergence import divergence_p, divergence_rate


@pytest.mark.parametrize(
    ("count", "runs", "low", "high"),
    [  # R: binom.test(count, runs)$conf.int
        (0, 10, 0.0, 0.3084971),
        (2, 10, 0.02521073, 0.5560955),
        (25, 25, 0.8628148, 1.0),
    ],
)
def test_rate_has_the_exact_interval_of_rs_binom_test(
    count: int, runs: int, low: float, high: float
) -> None:
    found = divergence_rate(count, runs)
    assert found.share == count / runs
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-7)


def test_rate_of_nothing_says_nothing() -> None:
    found = divergence_rate(0, 0)
    assert np.isnan(found.share)
    assert (found.low, found.high) == (0.0, 1.0)


def test_only_pairs_of_which_one_diverged_tell_a_variant_from_its_baseline() -> None:
    both, variant, baseline = np.zeros((3, 5, 4), dtype=bool)
    both[0] = True
    variant[1:3], baseline[3, 0] = True, True
    # eight pairs against one, by counting: 2 · (1 + 9) of 2⁹
    assert divergence_p(both | variant, both | baseline) == pytest.approx(20 / 512)
    assert divergence_p(both, both) == 1.0
