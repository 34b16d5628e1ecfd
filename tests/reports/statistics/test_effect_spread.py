"""The spread of variants' true scores: against an analysis of variance, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from reports.statistics.effect_spread import effect_spread

FOLDS = 10


def layout(
    random: np.random.Generator, spread: float, variants: int = 40, shared: float = 0.0
) -> np.ndarray:
    """Scores [variant, fold]: fold levels of 5, residuals of 3 points, `shared` of whose variance
    all folds of a variant have in common.
    """
    own = spread * random.standard_normal((variants, 1))
    own = own + 3 * shared**0.5 * random.standard_normal((variants, 1))
    left = 3 * (1 - shared) ** 0.5 * random.standard_normal((variants, FOLDS))
    return np.asarray(70 + 5 * random.standard_normal(FOLDS) + own + left)


def test_with_independent_folds_it_is_statsmodels_two_way_analysis_of_variance() -> None:
    table = layout(np.random.default_rng(1), spread=2.0, variants=12)
    variant, fold = np.indices(table.shape)
    long = {"score": table.ravel(), "variant": variant.ravel(), "fold": fold.ravel()}
    fitted = ols("score ~ C(variant) + C(fold)", pd.DataFrame(long)).fit()
    oracle = anova_lm(fitted)
    squares = oracle["mean_sq"]
    found = effect_spread(table, np.zeros(FOLDS))
    assert found is not None
    assert pytest.approx(oracle.loc["C(variant)", "F"]) == found.F
    assert found.p == pytest.approx(oracle.loc["C(variant)", "PR(>F)"])
    assert found.residual == pytest.approx((squares["Residual"] / FOLDS) ** 0.5)
    moments = (squares["C(variant)"] - squares["Residual"]) / FOLDS
    assert found.sd == pytest.approx(moments**0.5)


@pytest.mark.parametrize(("spread", "shared"), [(0.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 0.1)])
def test_the_interval_holds_the_true_spread_as_often_as_it_says(
    spread: float, shared: float
) -> None:
    random, held, studies = np.random.default_rng(2), 0, 2000
    ratio = np.full(FOLDS, 1 / (FOLDS - 1))
    for _ in range(studies):
        found = effect_spread(layout(random, spread, shared=shared), ratio)
        assert found is not None
        held += found.low <= spread <= found.high
    # of two sides at most one can fail where the truth is 0; the error is binomial
    assert held / studies >= 0.95 - 3 * (0.95 * 0.05 / studies) ** 0.5


def test_two_variants_have_no_spread_and_a_gap_is_refused() -> None:
    assert effect_spread(np.ones((2, 5)), np.ones(5)) is None
    with pytest.raises(ValueError, match="every variant"):
        effect_spread([[1.0, np.nan], [1.0, 2.0], [0.0, 1.0]], np.ones(2))
