"""Pooled scores and calibration of a variant's runs."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics as sk

from reports.analysis.outputs import outputs
from reports.statistics.calibration import calibration, temperature
from tests.reports import synthetic

FOLDS = ["Ses01", "Ses02", "Ses03"]


@pytest.fixture(scope="module")
def runs():
    return synthetic.study(
        synthetic.variants(["tanh"], ["gru"]), folds=3, seeds=2, utterances=60,
        diverged=[("tanh · gru", 2, 1)],
    )  # fmt: skip


def of_seed(runs, seed):
    own = [run for run in runs if run.seed == seed]
    return own, np.concatenate([run.truths for run in own])


def test_pooled_scores_are_those_of_all_utterances_together(runs):
    found = outputs("tanh · gru", runs, folds=FOLDS, selection="dev")
    each = []
    for seed in (0, 1):
        own, truths = of_seed(runs, seed)
        each.append((truths, np.concatenate([run.predictions("dev") for run in own])))
    assert found.seeds == 2
    expected = np.mean([sk.balanced_accuracy_score(*pair) for pair in each])
    assert found.uar == pytest.approx(100 * expected)
    assert found.war == pytest.approx(100 * np.mean([sk.accuracy_score(*pair) for pair in each]))
    f1 = np.mean([sk.f1_score(*pair, average=None, zero_division=0) for pair in each], axis=0)
    assert found.f1 == pytest.approx(100 * f1)


def test_each_run_is_tempered_on_its_own_development_set_and_diverged_ones_are_left_out(runs):
    found = outputs("tanh · gru", runs, folds=FOLDS, selection="dev")
    nll = []
    for seed in (0, 1):
        own = [run for run in runs if run.seed == seed and run.outcome == "ok"]
        logits = [r.logits["dev"] / temperature(r.dev_logits["dev"], r.dev_truths) for r in own]
        truths = np.concatenate([run.truths for run in own])
        nll.append(calibration(np.concatenate(logits), truths).nll)
    assert found.calibrated_runs == 5
    assert found.tempered.nll == pytest.approx(np.mean(nll))


def test_results_without_development_logits_are_judged_untempered(runs):
    old = [dataclasses.replace(run, dev_logits={}) for run in runs]
    found = outputs("tanh · gru", old, folds=FOLDS, selection="dev")
    assert found.raw is not None
    assert found.tempered is None


def test_seed_that_lacks_a_fold_is_not_pooled(runs):
    found = outputs("tanh · gru", runs[1:], folds=FOLDS, selection="dev")
    assert found.seeds == 1
