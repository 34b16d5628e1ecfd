"""A closed test with learnt variances: what it finds, and where it is wrong."""

import numpy as np

from reports.validation.on_closed import NAME, closed, closed_test


def test_a_closed_test_that_learns_how_variants_scatter_keeps_its_level_and_finds_more_of_one():
    rates = list(closed(300, np.random.default_rng(1)))
    one, three = (rate for rate in rates if rate.quantity == "power")
    assert one.measured > one.nominal + 0.02  # the page's rule on the same studies
    assert three.measured < three.nominal  # and less where several differ: not the page's yet
    assert all(rate.kept for rate in rates if rate.promised)


def test_what_no_claim_holds_is_real_and_a_study_of_nothing_is_not():
    rng = np.random.default_rng(3)
    table = rng.standard_normal((2, 4, 5))
    table[0, 2] += 50
    shown = closed_test(table)
    assert shown[0].tolist() == [False, False, True, False]
    assert not shown[1].any()
    assert NAME.startswith("closed")
