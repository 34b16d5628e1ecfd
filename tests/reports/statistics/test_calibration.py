"""Calibration, temperature and F1 against scikit-learn, scipy and what is worked out by hand."""

import numpy as np
import pytest
from scipy import optimize, special
from sklearn import metrics as sk

from bench.training.metrics import confusion
from reports.statistics.calibration import calibration, f1_from, temperature


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    truths = rng.integers(0, 4, 400)
    return 2.5 * (np.eye(4)[truths] + rng.normal(size=(400, 4))), truths


def test_likelihood_and_brier_score_are_scikit_learns(case):
    logits, truths = case
    found = calibration(logits, truths)
    probability = special.softmax(logits, axis=1)
    assert found.nll == pytest.approx(sk.log_loss(truths, probability))
    per_class = [sk.brier_score_loss(truths == c, probability[:, c]) for c in range(4)]
    assert found.brier == pytest.approx(sum(per_class))


def test_expected_calibration_error_by_hand():
    # two classes; sure 0.9 three times, right twice; sure 0.6 once, wrong
    sure = np.array([0.9, 0.9, 0.9, 0.6])
    logits = np.stack([np.log(sure), np.log(1 - sure)], axis=1)
    found = calibration(logits, [0, 0, 1, 1])
    assert found.ece == pytest.approx(100 * (abs(2 - 3 * 0.9) + abs(0 - 0.6)) / 4)


def test_temperature_has_the_greatest_likelihood(case):
    logits, truths = case
    best = optimize.minimize_scalar(
        lambda t: calibration(logits / t, truths).nll, bounds=(0.05, 50), method="bounded"
    )
    assert temperature(logits, truths) == pytest.approx(best.x, rel=1e-3)
    assert temperature(3 * logits, truths) == pytest.approx(3 * temperature(logits, truths))


def test_temperature_of_perfect_and_of_perverse_logits_ends_at_the_bounds():
    logits = np.eye(3)
    assert temperature(logits, [0, 1, 2]) == pytest.approx(0.01)
    assert temperature(-logits, [0, 1, 2]) == pytest.approx(100)


def test_f1_is_scikit_learns_and_nothing_for_a_class_that_nobody_names(case):
    logits, truths = case
    said = logits.argmax(1)
    expected = sk.f1_score(truths, said, average=None)
    found = f1_from(confusion(truths, said, 5))
    assert found[:4] == pytest.approx(expected)
    assert np.isnan(found[4])
