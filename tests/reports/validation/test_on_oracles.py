"""Tests that are told what nobody knows: critical values, and what the table shows of them."""

import numpy as np
import pytest
from scipy import stats

from reports.validation.on_oracles import ALIKE, POOLED, TOLD, oracle, oracles


def test_critical_values_of_a_known_variance_are_dunnetts():
    # Dunnett (1964), two-sided 5 %, 1 to 9 treatments, infinitely many degrees of freedom
    table = [1.96, 2.21, 2.35, 2.44, 2.51, 2.57, 2.61, 2.65, 2.69]
    assert oracle(TOLD).critical == pytest.approx(table, abs=0.005)


def test_one_comparison_has_students_critical_value():
    # of nine variances and the baseline's: 36 degrees of freedom
    assert oracle(POOLED).critical[0] == pytest.approx(stats.t.isf(0.025, 36), rel=1e-3)


def test_steps_down_stop_at_the_first_that_is_not_shown():
    test = oracle(TOLD)
    c = test.critical
    means = np.array([c[-1] + 0.1, c[-2] + 0.01, *[0.0] * 6, c[-3] - 0.1]) * test._error(
        np.zeros((1, 9, 5))
    )
    table = np.repeat(means[None, :, None], 5, axis=2)
    assert test.shown(table)[0].tolist() == [True, True, *[False] * 7]
    assert test.shown(table, steps=False)[0].sum() == 1


def test_pooled_error_finds_more_only_where_it_is_wrong_elsewhere():
    rates = list(oracles(1000, np.random.default_rng(5)))
    errors = {(r.test.split(",")[0], r.world): r for r in rates if r.quantity != "power"}
    for kind in (TOLD, ALIKE, POOLED):
        assert errors[kind, "alike"].kept
    assert errors[POOLED, "noisy baseline"].measured > 0.2
    assert errors[POOLED, "one noisy variant"].measured > 0.1
    found = {r.test.split(",")[0]: r.measured for r in rates if "step-down" in r.test}
    assert found[ALIKE] + 0.03 < found[POOLED] < found[TOLD]
