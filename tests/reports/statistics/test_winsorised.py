"""The prior of the moderated test at every number of folds, against integrals written out."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from reports.statistics.moderated import TAILS, _winsorised


@pytest.mark.parametrize("folds", [2, 3, 4, 5, 6, 8, 10, 12, 20, 25])
def test_any_number_of_folds_has_a_prior_and_it_is_the_one_of_the_integral(folds: int) -> None:
    found = _winsorised(folds - 1)
    for link in (0.5, 0.9, 0.99):
        degrees = link / (1 - link)
        low = np.log(stats.f.ppf(TAILS[0], folds - 1, degrees))
        high = np.log(stats.f.isf(TAILS[1], folds - 1, degrees))

        def density(t: float, degrees: float = degrees) -> float:
            return float(stats.f.pdf(np.exp(t), folds - 1, degrees) * np.exp(t))

        ends = low * TAILS[0] + high * TAILS[1]
        mean = quad(lambda t: t * density(t), low, high)[0] + ends
        spread = quad(lambda t: (t - mean) ** 2 * density(t), low, high)[0]  # noqa: B023
        spread += (low - mean) ** 2 * TAILS[0] + (high - mean) ** 2 * TAILS[1]
        assert float(found.link_of(spread)) == pytest.approx(link, abs=1e-7)
        assert float(found.mean_of(link)) == pytest.approx(mean, abs=1e-7)
