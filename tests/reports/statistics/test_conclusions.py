import dataclasses
import json

import numpy as np
import pytest

from reports.statistics.arrays import plain
from reports.statistics.conclusions import Evidence, conclude, p_text, signed
from reports.statistics.corrected_t import corrected_t_test
from reports.statistics.equivalence import equivalence_test
from reports.statistics.power import detectable_difference

RATIO = [0.3] * 5


def evidence(differences: list[float], **changes: object) -> Evidence:
    test = corrected_t_test(differences, RATIO)
    equivalence = equivalence_test(differences, RATIO)
    made = Evidence(
        variant="arelu · gru",
        baseline="tanh · gru",
        metric="UAR",
        difference=test,
        p_adjusted=test.p,
        equivalence=equivalence,
        equivalence_p_adjusted=equivalence.p,
        detectable=detectable_difference(test.spread, RATIO, level=0.05 / 8),
        power=0.8,
        comparisons=8,
        standing="confirmatory",
        without=None,
        depends=False,
        diverged=0,
        baseline_diverged=0,
        missing=0,
        baseline_missing=0,
        runs=25,
        baseline_runs=25,
        synthetic=False,
    )
    return dataclasses.replace(made, **changes)


def test_a_clear_gain_is_called_better_with_its_interval() -> None:
    found = conclude(evidence([2.0, 2.4, 1.9, 2.2, 2.1]))
    assert found.verdict == "better"
    assert "2.1 points UAR above tanh · gru (95% interval +1.7 to +2.5" in found.sentence
    assert found.sentence.endswith(".")


def test_a_clear_loss_is_called_worse() -> None:
    found = conclude(evidence([-2.0, -2.4, -1.9, -2.2, -2.1]))
    assert found.verdict == "worse"
    assert "below" in found.sentence


def test_a_family_can_take_significance_away() -> None:
    found = conclude(evidence([2.0, 2.4, 1.9, 2.2, 2.1], p_adjusted=0.2))
    assert found.verdict == "undecided"
    assert "may differ" in found.sentence
    assert "not as one of 8 (adjusted p = 0.200)" in found.sentence


def test_what_is_not_significant_comes_with_what_could_have_been_seen() -> None:
    found = conclude(evidence([3.0, -2.0, 0.5, -1.0, 0.2]))
    assert found.verdict == "undecided"
    assert "cannot be told apart: +0.1 points" in found.sentence
    assert "with 8 comparisons this design finds a true difference of" in found.sentence
    assert "or more with 80% probability" in found.sentence


def test_equality_needs_its_own_test() -> None:
    found = conclude(evidence([0.1, -0.2, 0.15, -0.1, 0.05]))
    assert found.verdict == "equal"
    assert "practically equal" in found.sentence
    assert conclude(evidence([3.0, -2.0, 0.5, -1.0, 0.2])).verdict == "undecided"


def test_a_sure_but_tiny_difference_is_said_not_to_matter() -> None:
    found = conclude(evidence([0.3, 0.32, 0.28, 0.31, 0.29]))
    assert found.verdict == "better"
    assert "less than the ±1 that would matter" in found.sentence


def test_divergence_gaps_and_synthetic_speech_are_never_left_unsaid() -> None:
    found = conclude(
        evidence([1.0, 0, 2, 1, -1], diverged=3, missing=2, baseline_missing=4, synthetic=True)
    )
    assert "3 of 25 runs diverged" in found.sentence
    assert (
        "2 of 25 runs of arelu · gru and 4 of 25 runs of tanh · gru are missing" in found.sentence
    )
    assert "synthetic speech" in found.sentence


def test_too_few_folds_are_not_compared() -> None:
    found = conclude(evidence([1.0, 0, 2, 1, -1], difference=None, p_adjusted=float("nan")))
    assert found.verdict == "not compared"


@pytest.mark.parametrize(
    ("points", "text"), [(1.25, "+1.2"), (-0.75, "−0.8"), (0.04, "0.0"), (-0.04, "0.0")]
)
def test_differences_carry_a_sign_but_zero_does_not(points: float, text: str) -> None:
    assert signed(points) == text


def test_no_p_value_is_printed_as_zero() -> None:
    assert p_text(0.0) == "p < 0.001"
    assert p_text(0.0316) == "p = 0.032"


def test_everything_becomes_strict_json() -> None:
    data = plain({"evidence": evidence([1.0, 0, 2, 1, -1]), "gap": np.array([np.nan, 1.0])})
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text)["gap"] == [None, 1.0]
    assert json.loads(text)["evidence"]["difference"]["folds"] == 5


@pytest.mark.parametrize("standing", ["interim", "descriptive", "exploratory"])
def test_what_was_not_planned_or_is_not_finished_gets_an_estimate_and_no_verdict(
    standing: str,
) -> None:
    found = conclude(evidence([8.0, 8.4, 7.9, 8.2, 8.1], standing=standing))
    assert found.verdict == standing
    assert "+8.1 points UAR (95% interval" in found.sentence
    assert "above" not in found.sentence
    assert "p <" not in found.sentence


def test_verdict_that_hangs_on_diverged_runs_is_told_with_both_numbers() -> None:
    without = corrected_t_test([0.1, -0.2, 0.3, 0.0, 0.1], RATIO)
    found = conclude(
        evidence([8.0, 8.4, 7.9, 8.2, 8.1], depends=True, without=without, baseline_diverged=5)
    )
    assert found.verdict == "depends on diverged runs"
    assert "+8.1 points UAR" in found.sentence
    assert "+0.1 (" in found.sentence
    assert "of the baseline, 5 of 25 runs diverged" in found.sentence
