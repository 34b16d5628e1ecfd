"""Our moderated variances against limma's, from figures that limma/make_golden.R made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports.statistics.arrays import FloatArray
from reports.statistics.moderated import fit_prior, squeeze

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "limma/golden.json").read_text())


def _array(value: Any) -> FloatArray:
    return np.asarray(np.vectorize(float)(value), dtype=np.float64)


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("name", GOLDEN)
def test_prior_posterior_and_p_are_limmas(name: str, robust: bool) -> None:
    case = GOLDEN[name]
    table, expected = _array(case["differences"]), case["robust" if robust else "plain"]
    m, folds = table.shape
    variances, freedom = table.var(axis=1, ddof=1), folds - 1
    prior = fit_prior(variances, freedom, robust=robust)
    degrees = np.broadcast_to(_array(expected["degrees"]), m)
    # limma stops looking for the robust degrees of freedom at 1e-8 of d / (1 + d)
    assert prior.scale == pytest.approx(float(expected["scale"]), rel=1e-6)
    assert prior.own_degrees == pytest.approx(degrees, rel=1e-5)
    posterior = squeeze(variances, freedom, prior)
    assert posterior == pytest.approx(_array(expected["posterior"]), rel=1e-6)
    t = table.mean(axis=1) / np.sqrt(posterior / folds)
    assert t == pytest.approx(_array(expected["t"]), rel=1e-6)
    p = 2 * stats.t.sf(np.abs(t), np.minimum(freedom + prior.own_degrees, freedom * m))
    assert p == pytest.approx(_array(expected["p"]), rel=1e-5)


def test_many_families_at_once_are_each_by_itself() -> None:
    tables = [_array(GOLDEN[name]["differences"]) for name in GOLDEN if "forty" in name]
    variances = np.stack([table.var(axis=1, ddof=1) for table in tables])
    together = fit_prior(variances, 4, robust=True)
    for row, alone in enumerate(fit_prior(v, 4, robust=True) for v in variances):
        # Newton's steps go on until the slowest family is done
        assert together.scale[row] == pytest.approx(alone.scale, rel=1e-9)
        assert together.own_degrees[row] == pytest.approx(alone.own_degrees, rel=1e-9)
