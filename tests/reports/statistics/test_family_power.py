"""What a family's design finds, against the rule itself in simulated studies."""

import numpy as np
import pytest

from reports.statistics.family import judge
from reports.statistics.family_power import family_power
from reports.statistics.means import seed_means
from reports.statistics.power import detectable_difference, probability_to_find
from reports.validation.family_worlds import FamilyWorld, draw_differences
from reports.validation.worlds import AS_ASSUMED, RATIO, expected_spread

STUDIES = 3000


@pytest.mark.parametrize(("comparisons", "baselines"), [(6, 1), (18, 2)])
def test_plan_promises_what_the_rule_finds(comparisons, baselines):
    world = FamilyWorld(comparisons=comparisons, baselines=baselines)
    table = seed_means(draw_differences(world, STUDIES, np.random.default_rng(1)))
    table[:, -1] += 3.0
    found = (judge(table, RATIO, world.groups).verdict[:, -1] == 1).mean()
    promised = family_power(RATIO, world.groups).chance(3.0, expected_spread(AS_ASSUMED))
    # standard errors 0.8 and up to 1.4 points
    assert promised == pytest.approx(found, abs=0.03)


def test_detectable_difference_is_found_with_its_probability():
    power = family_power([1 / 3] * 5, ["gru"] * 9)
    assert power.chance(power.detectable(1.4, 0.8), 1.4) == pytest.approx(0.8, abs=2e-3)
    assert power.chance(0.0, 1.4) < 0.05 / 9


def test_small_family_is_judged_one_by_one():
    power = family_power([1 / 3] * 5, ["gru"] * 2)
    assert power.chance(3.0, 1.4) == probability_to_find(3.0, 1.4, [1 / 3] * 5, level=0.05 / 2)


def test_single_test_at_the_level_it_names_detects_as_small_a_difference():
    power = family_power([1 / 3] * 5, ["gru"] * 9)
    level = power.single_level(0.8)
    found = detectable_difference(1.4, [1 / 3] * 5, level=level, power=0.8, degrees=power.degrees)
    assert found == pytest.approx(power.detectable(1.4, 0.8), rel=1e-3)
    assert 0.05 / 9 < level < 0.05  # more than Bonferroni's, less than one comparison's
    assert family_power([1 / 3] * 5, ["gru"] * 2).single_level(0.8) == 0.05 / 2
