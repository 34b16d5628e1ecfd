"""Least squares with clusters, against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from reports.statistics.clustered import clustered_least_squares


def test_a_cluster_for_each_observation_is_hc3_but_for_its_factor() -> None:
    random = np.random.default_rng(0)
    x = sm.add_constant(random.standard_normal((40, 2)))
    y = x @ [1.0, 2.0, 0.0] + random.standard_normal(40) * (1 + np.abs(x[:, 1]))
    found = clustered_least_squares(y, x, [str(k) for k in range(40)])
    theirs = sm.OLS(y, x).fit(cov_type="HC3")
    assert found.estimate == pytest.approx(theirs.params)
    # HC3 is the jackknife without its factor (n - 1)/n
    assert found.standard_error == pytest.approx(theirs.bse * (39 / 40) ** 0.5)


def test_intervals_keep_their_promise_with_few_clusters_whose_members_are_alike() -> None:
    random = np.random.default_rng(1)
    clusters = [str(k // 6) for k in range(72)]
    kept = 0
    for _ in range(400):
        shared = np.repeat(random.standard_normal((12, 2)), 6, axis=0)  # property and luck
        x = np.column_stack([np.ones(72), shared[:, 0] + 0.3 * random.standard_normal(72)])
        y = shared[:, 1] + 0.5 * random.standard_normal(72)
        found = clustered_least_squares(y, x, clusters)
        kept += found.low[1] < 0 < found.high[1]
    assert kept / 400 > 0.93  # 95 % but for three binomial errors; ordinary intervals: about 60 %


def test_columns_that_say_the_same_are_refused() -> None:
    x = np.column_stack([np.ones(8), np.arange(8), 2 * np.arange(8)])
    with pytest.raises(ValueError, match="say the same"):
        clustered_least_squares(np.arange(8), x, list("aabbccdd"))
    with pytest.raises(ValueError, match="one cluster"):
        clustered_least_squares(np.arange(8), x[:, :2], ["a"] * 8)
