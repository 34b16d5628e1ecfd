"""Contrasts of activation × direction, against arithmetic by hand and an analysis of variance."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from reports.statistics.factorial import FactorContrast, factor_contrasts

RATIO = [0.25, 0.35, 0.3]
# [activation, direction, fold, seed]: tanh and elu, gru and bigru, three folds, two seeds
SCORES = np.array(
    [
        [[[60, 62], [58, 60], [64, 64]], [[61, 63], [60, 62], [65, 67]]],
        [[[61, 65], [60, 60], [66, 68]], [[66, 66], [61, 65], [67, 69]]],
    ],
    dtype=float,
)


def contrasts(scores: np.ndarray, ratio: list[float] = RATIO) -> dict[str, FactorContrast]:
    activations, directions = ["tanh", "elu", "relu"][: len(scores)], ["gru", "bigru"]
    found = factor_contrasts(
        scores, activations, directions, ratio, baseline="tanh", reference_direction="gru"
    )
    return {f"{c.factor}: {c.level}": c for c in found}


def by_hand(per_fold: list[float]) -> tuple[float, float]:
    """Mean and p of the corrected test, from its definition."""
    d = np.array(per_fold)
    error = np.sqrt((1 / d.size + np.mean(RATIO)) * d.var(ddof=1))
    return d.mean(), 2 * stats.t.sf(abs(d.mean() / error), d.size - 1)


def test_contrasts_by_hand() -> None:
    found = contrasts(SCORES)
    expected = {
        # seed means: tanh gru 61 59 64, tanh bigru 62 61 66; elu gru 63 60 67, elu bigru 66 63 68
        "activation: elu": [(2 + 4) / 2, (1 + 2) / 2, (3 + 2) / 2],
        "direction: bigru": [(1 + 3) / 2, (2 + 3) / 2, (2 + 1) / 2],
        "activation × direction: elu in bigru": [4 - 2, 2 - 1, 2 - 3],
    }
    assert set(found) == set(expected)
    for name, per_fold in expected.items():
        test = found[name].test
        assert test is not None
        assert (test.mean, test.p) == pytest.approx(by_hand(per_fold)), name
        assert found[name].p_holm == test.p  # one contrast of its factor


def test_two_levels_give_the_f_tests_of_the_repeated_measures_analysis_of_variance() -> None:
    # without shared training data; with two levels, F is t squared
    found = contrasts(SCORES, [1e-12] * 3)
    rows = [(SCORES[a, d, f].mean(), a, d, f) for a in range(2) for d in range(2) for f in range(3)]
    table = pd.DataFrame(rows, columns=["score", "activation", "direction", "fold"])
    anova = AnovaRM(table, "score", "fold", within=["activation", "direction"]).fit().anova_table
    for contrast, f in zip(found.values(), anova["F Value"], strict=True):
        assert contrast.test is not None
        assert contrast.test.statistic**2 == pytest.approx(f)


def test_a_seed_counts_where_every_run_of_the_contrast_has_it() -> None:
    gap = SCORES.copy()
    gap[1, 0, 0, 1] = np.nan
    test = contrasts(gap)["activation: elu"].test
    assert test is not None
    # fold 1 keeps seed 0: (1 + 5) / 2
    assert test.mean == pytest.approx(np.mean([3.0, 1.5, 2.5]))
    gap[1, 0, 0, 0] = np.nan
    test = contrasts(gap)["activation: elu"].test
    assert test is not None
    assert test.folds == 2
    gap[1, 0, 1] = np.nan
    assert contrasts(gap)["activation: elu"].test is None


def test_p_values_are_adjusted_within_their_factor() -> None:
    three = np.concatenate(
        [SCORES, SCORES[1:] + np.random.default_rng(0).normal(0, 1, (1, 2, 3, 2))]
    )
    found = contrasts(three)
    p = sorted(found[f"activation: {name}"].test.p for name in ("elu", "relu"))  # type: ignore[union-attr]
    adjusted = sorted(found[f"activation: {name}"].p_holm for name in ("elu", "relu"))
    assert adjusted == pytest.approx([min(1, 2 * p[0]), max(2 * p[0], p[1])])
    assert found["direction: bigru"].p_holm == found["direction: bigru"].test.p  # type: ignore[union-attr]


def test_a_single_direction_has_no_factors() -> None:
    with pytest.raises(ValueError, match="two directions"):
        factor_contrasts(
            SCORES[:, :1],
            ["tanh", "elu"],
            ["gru"],
            RATIO,
            baseline="tanh",
            reference_direction="gru",
        )
