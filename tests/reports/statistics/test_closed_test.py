"""Verdicts by claims that must all be rejected: against the definition, and what it is for."""

import numpy as np
import pytest
from scipy import stats

from reports.statistics import closed_test as rule
from reports.statistics.closed_test import closed_test
from reports.statistics.corrected_t import correction
from reports.statistics.family import judge
from reports.statistics.means import seed_means
from reports.statistics.moderated import moderated_t_tests
from reports.statistics.one_baseline import step_down
from reports.validation.family_worlds import FamilyWorld, draw_differences
from reports.validation.worlds import RATIO

FACTOR = correction(5, RATIO)


def family(studies: int, m: int, *, seed: int = 0, baselines: int = 1) -> np.ndarray:
    world = FamilyWorld(comparisons=m, baselines=baselines, scatter="scatter differs")
    table = seed_means(draw_differences(world, studies, np.random.default_rng(seed)))
    table[: studies // 2, 0] += 4.0
    return table


def adjusted(table: np.ndarray, baselines: np.ndarray, **asked) -> np.ndarray:
    return closed_test(table, moderated_t_tests(table, RATIO, baselines), RATIO, baselines, **asked)


def contrast_p(weights: np.ndarray, values: np.ndarray, variances, degrees, least=0.0) -> float:
    """Welch's test of a contrast of independent means, one by one."""
    parts = weights**2 * variances
    error = np.sqrt(max(parts.sum(), least) * FACTOR)
    freedom = parts.sum() ** 2 / (parts**2 / degrees).sum()
    return float(2 * stats.t.sf(abs(weights @ values) / error, freedom))


def by_definition(table: np.ndarray, i: int) -> float:
    """The adjusted p of comparison i of one study [m, fold], claim by claim."""
    m = len(table)
    found = moderated_t_tests(table, RATIO, np.zeros(m))
    stepped = step_down(found.p, found.share, np.zeros(m), 4)[i]
    level = 0.3 + (9.0 - 1.2 * max(0, 9 - m)) * found.share[i]
    means = table.mean(axis=1)
    others = [j for j in np.argsort(means, kind="stable") if j != i]
    by_p = [j for j in np.argsort(-found.p, kind="stable") if j != i]
    held = [found.p[i]]
    for k in range(2, m + 1):
        neighbours = [others[first : first + k - 1] for first in range(m - k + 1)]
        for claimed in (*neighbours, by_p[: k - 1]):
            claim = [i, *claimed]
            values = np.append(means[claim], 0.0)  # the baseline last
            variances = np.append(found.scatter.variant[claim], found.scatter.baseline[i])
            degrees = np.append(found.scatter.degrees[claim], 4)
            apart = np.full(k + 1, -1 / k)
            apart[0] = 1
            moved = np.append(np.full(k, 1 / k), -1.0)
            course = table[claim].mean(axis=0).var(ddof=1)
            held.append(
                min(
                    k * contrast_p(apart, values, variances, degrees) / level,
                    contrast_p(moved, values, variances, degrees, least=course) / 0.4,
                    k * found.p[claim].min() / 0.5,
                )
            )
    return min(1.0, stepped / 0.5, max(held))


@pytest.mark.parametrize("m", [3, 6, 9, 11])
def test_every_adjusted_p_is_that_of_the_definition(m: int) -> None:
    assert (rule.APART, rule.BY_SHARE, rule.BASELINE_APART, rule.ALONE) == (0.3, 9.0, 0.4, 0.5)
    tables = family(6, m)
    found = adjusted(tables, np.zeros(m))
    by_hand = [[by_definition(table, i) for i in range(m)] for table in tables]
    assert found == pytest.approx(np.array(by_hand), rel=1e-9)
    assert (found < 0.05).any()
    assert (found > 0.05).any()


def test_haste_changes_no_verdict() -> None:
    tables, baselines = family(300, 18, baselines=2), np.repeat([0, 1], 9)
    slow = judge(tables, RATIO, baselines)
    hasty = judge(tables, RATIO, baselines, hasty=True)
    assert np.array_equal(slow.verdict, hasty.verdict, equal_nan=True)
    low = slow.p_adjusted < 0.05
    assert low.sum() > 50
    assert hasty.p_adjusted[low] == pytest.approx(slow.p_adjusted[low], rel=1e-12)


def test_order_and_unit_of_measurement_do_not_matter() -> None:
    tables = family(20, 9)
    found = adjusted(tables, np.zeros(9))
    order = np.random.default_rng(5).permutation(9)
    assert adjusted(tables[:, order], np.zeros(9)) == pytest.approx(found[:, order])
    assert adjusted(-0.01 * tables, np.zeros(9)) == pytest.approx(found)
    # with ties of means, too: accuracies of small test sets are multiples of one utterance
    tables = np.round(tables)
    found = adjusted(tables, np.zeros(9))
    assert adjusted(tables[:, order], np.zeros(9)) == pytest.approx(found[:, order])
    assert adjusted(-tables, np.zeros(9)) == pytest.approx(found)


def test_comparisons_of_two_baselines_pay_for_each_other() -> None:
    tables = family(20, 9)
    alone = adjusted(tables, np.zeros(9))
    twice = adjusted(np.concatenate([tables, tables], axis=1), np.repeat([0, 1], 9))
    assert twice[:, :9] == pytest.approx(twice[:, 9:])
    assert (twice[:, :9] >= alone).mean() > 0.95  # a larger family knows its scatter better
    lonely = adjusted(np.concatenate([tables, tables[:, :1]], axis=1), np.append(np.zeros(9), 1.0))
    single = moderated_t_tests(
        np.concatenate([tables, tables[:, :1]], axis=1), RATIO, np.append(np.zeros(9), 1.0)
    )
    assert (lonely[:, 9] <= 10 * single.p[:, 9] + 1e-12).all()  # no neighbours: Bonferroni
    assert (lonely[:, 9] >= single.p[:, 9]).all()


def noise(m: int) -> np.ndarray:
    """Scatter over folds [m, fold] of a quiet family, without means."""
    rng = np.random.default_rng(8)
    rows = rng.standard_normal((m, 5)) - rng.standard_normal(5)
    return rows - rows.mean(axis=1, keepdims=True)


def test_one_variant_apart_from_all_others_is_found_where_stepping_down_does_not() -> None:
    table = noise(9)
    table[4] += 3.4
    found = moderated_t_tests(table, RATIO, np.zeros(9))
    assert step_down(found.p, found.share, np.zeros(9), 4)[4] > 0.05
    p = judge(table, RATIO, np.zeros(9)).p_adjusted
    assert p[4] < 0.05
    assert (np.delete(p, 4) > 0.5).all()


def test_variants_that_differ_plainly_do_not_make_the_rest_different() -> None:
    table = noise(9)
    table[:3] -= 20
    p = judge(table, RATIO, np.zeros(9)).p_adjusted
    assert (p[:3] < 0.01).all()
    assert (p[3:] > 0.5).all()


def test_variant_apart_from_the_others_but_not_from_the_baseline_is_not_found() -> None:
    table = noise(9)
    table[1:] += 3.4
    assert judge(table, RATIO, np.zeros(9)).p_adjusted[0] > 0.5


def test_sure_differences_between_noisy_equals_do_not_make_these_different() -> None:
    # twelve equals among sixteen that differ a little and hardly scatter, nor does the baseline
    rng, n, folds = np.random.default_rng(0), 1500, 10
    ratio = np.full(folds, 1 / 9)
    spread = np.repeat([1.0, 0.01], [12, 16])[:, None]
    own = rng.standard_normal((n, 28, folds)) + rng.standard_normal((n, 28, 1)) / 3
    base = rng.standard_normal((n, 1, folds)) + rng.standard_normal((n, 1, 1)) / 3
    table = own * spread - 0.01 * base
    table[:, 12:] += np.linspace(-1.2, 1.2, 16)[:, None]
    wrong = (judge(table, ratio, np.zeros(28), hasty=True).p_adjusted[:, :12] < 0.05).any(axis=1)
    assert wrong.mean() < 0.05 + 2 * (0.05 * 0.95 / n) ** 0.5
