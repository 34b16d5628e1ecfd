"""Tests that are told what nobody knows: critical values, and what the table shows of them."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from reports.statistics.corrected_t import correction
from reports.validation.on_oracles import (
    ALIKE,
    CLOSED,
    POOLED,
    TOLD,
    closed_oracle,
    oracle,
    oracles,
)
from reports.validation.worlds import RATIO


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


def test_closed_test_rejects_what_every_claim_that_holds_it_is_rejected_for():
    test = closed_oracle(4)
    rng = np.random.default_rng(2)
    table = rng.standard_normal((300, 4, 5)) + 3 * rng.standard_normal((300, 4, 1))
    table -= rng.standard_normal((300, 1, 5))
    shown = test.shown(table)
    assert 0.2 < shown.mean() < 0.8
    for study, found in zip(table, shown, strict=True):
        means = study.mean(axis=1)
        factor = correction(5, RATIO)
        error = (study.var(axis=1, ddof=1).mean() * factor) ** 0.5
        rest = study - means[:, None] - study.mean(axis=0) + study.mean()
        own = ((rest**2).sum() / 12 * factor) ** 0.5
        for i in range(4):
            claims = [c for k in range(1, 5) for c in combinations(range(4), k) if i in c]
            rejected = [
                np.abs(means[list(c)]).max() > test.largest[len(c) - 1] * error
                or any(
                    abs(means[j] - np.mean([means[o] for o in c if o != j]))
                    > test.apart[len(c) - 1] * own * (1 + 1 / (len(c) - 1)) ** 0.5
                    for j in c
                    if len(c) > 1
                )
                for c in claims
            ]
            assert found[i] == all(rejected)


def test_pooled_error_finds_more_only_where_it_is_wrong_elsewhere():
    rates = list(oracles(1000, np.random.default_rng(5)))
    errors = {(r.test.split(", any")[0], r.world): r for r in rates if r.quantity != "power"}
    for kind in (TOLD, ALIKE, POOLED, CLOSED):
        assert errors[kind, "alike"].kept
    assert errors[POOLED, "noisy baseline"].measured > 0.2
    assert errors[POOLED, "one noisy variant"].measured > 0.1
    found = {r.test.split(",")[0]: r.measured for r in rates if "step-down" in r.test}
    assert found[ALIKE] + 0.03 < found[POOLED] < found[TOLD]
    # and not because of what it takes for granted: a closed test does not, and finds as much
    (closed,) = (r.measured for r in rates if r.test.startswith(f"{CLOSED}:"))
    assert closed > found[POOLED] - 0.03
    assert errors[CLOSED, "noisy baseline"].measured < 0.05 + 4 * (0.05 * 0.95 / 1000) ** 0.5
