"""Our random effects against metafor's, from figures that metafor/make_golden.R made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from reports.statistics.synthesis import best_guesses, random_effects

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "metafor/golden.json").read_text())
CLOSE = 1e-8  # both search for tau² and end at rounding


@pytest.mark.parametrize("name", GOLDEN)
def test_mean_interval_heterogeneity_and_prediction_are_metafors(name: str) -> None:
    case = GOLDEN[name]
    found = random_effects(case["values"], np.sqrt(case["variances"]))
    expected = [case["mean"], case["error"], *case["ends"], case["p"], case["Q"], case["Qp"]]
    ours = [found.mean, found.standard_error, found.low, found.high, found.p_knapp]
    assert [*ours, found.q, found.q_p] == pytest.approx(expected, rel=CLOSE)
    assert found.tau**2 == pytest.approx(case["tau2"], rel=CLOSE)
    assert 100 * found.share == pytest.approx(case["I2"], rel=CLOSE)
    assert found.weights == pytest.approx(case["weights"], rel=CLOSE)
    ends = [found.tau_range.low, found.tau_range.high]
    assert ends == pytest.approx(case["tau_ends"], rel=1e-6)
    if case["reach"] > 0:
        assert found.new_truth is not None
        assert found.new_truth.high - found.mean == pytest.approx(case["reach"], rel=CLOSE)
    else:
        assert found.new_truth is None


@pytest.mark.parametrize("name", GOLDEN)
def test_best_guesses_are_metafors_predictions(name: str) -> None:
    case = GOLDEN[name]
    guesses = best_guesses(case["values"], case["variances"])
    assert guesses == pytest.approx(np.array(case["blup"]), rel=CLOSE)


def test_paule_and_mandel_is_statsmodels_iterated_method() -> None:
    case = GOLDEN["tuberculosis"]
    theirs = combine_effects(
        np.array(case["values"]), np.array(case["variances"]), method_re="iterated", use_t=True
    )
    found = random_effects(case["values"], np.sqrt(case["variances"]))
    assert found.tau**2 == pytest.approx(theirs.tau2, rel=1e-4)  # it stops at 1e-5
    assert found.mean == pytest.approx(theirs.mean_effect_re, rel=1e-4)
    assert found.standard_error == pytest.approx(theirs.sd_eff_w_re_hksj, rel=1e-4)
