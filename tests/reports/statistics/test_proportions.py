"""Differences of shares: against statsmodels, a published example, and by exact enumeration."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from reports.statistics.proportions import shares_of_pairs, shares_of_two_groups


@pytest.mark.parametrize("counts", [(7, 7, 0, 3), (56, 70, 48, 80), (0, 22, 25, 60)])
def test_two_groups_have_statsmodels_interval_of_newcombe(counts: tuple[int, ...]) -> None:
    a, m, b, n = counts
    found = shares_of_two_groups((a, m), (b, n))
    assert found.difference == a / m - b / n
    oracle = confint_proportions_2indep(a, m, b, n, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx(oracle)


def pairs(both: int, only: int, other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    sizes = [both, only, other, neither]
    return np.repeat([1, 1, 0, 0], sizes), np.repeat([1, 0, 1, 0], sizes)


def test_pairs_have_the_interval_of_the_r_package_contingencytables() -> None:
    found = shares_of_pairs(*pairs(59, 6, 16, 80))  # its test of Cavo et al. (2012)
    assert found.difference == pytest.approx(-0.0621, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((-0.1186, -0.0046), abs=5e-5)
    back = shares_of_pairs(*reversed(pairs(59, 6, 16, 80)))
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("chances", [(0.1, 0.5, 0.05, 0.35), (0.02, 0.68, 0.0, 0.3)])
def test_ten_pairs_have_an_interval_that_holds(chances: tuple[float, ...]) -> None:
    held, cases = 0.0, 10
    for both in range(cases + 1):
        for only in range(cases + 1 - both):
            for other in range(cases + 1 - both - only):
                table = (both, only, other, cases - both - only - other)
                found = shares_of_pairs(*pairs(*table))
                if found.low <= chances[1] - chances[2] <= found.high:
                    held += stats.multinomial.pmf(table, cases, chances)
    assert held > 0.94  # exact, all 286 tables: an approximate interval may miss by a little


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a case"):
        shares_of_two_groups((0, 0), (1, 2))
    with pytest.raises(ValueError, match="must both be"):
        shares_of_pairs([True], [True, False])
