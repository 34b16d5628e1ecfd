"""The synthesis over corpora in worlds without a common difference."""

import numpy as np
import pytest

from reports.validation.on_corpora import CorporaWorld, rates

STUDIES = 400


@pytest.mark.parametrize("errors", [(1.0, 1.0, 1.0), (0.5, 1.75, 3.0)])
def test_false_verdicts_over_corpora_stay_within_the_level(errors):
    found = rates(CorporaWorld(tau=3.0, errors=errors), STUDIES, np.random.default_rng(1))
    # 5 % of 400: more than 32 (8 %) have a probability of 0.3 %
    assert found.both <= 0.08
    # predicted by theory where all are equally exact; unequal ones are covered more or less often
    assert found.new_study >= 0.91
