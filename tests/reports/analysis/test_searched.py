"""What tuning chose and gave, as the report says it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reports.analysis.analysis import analyse
from reports.analysis.searched import SearchDesign, Tried, search_of
from reports.figures.gallery import draw
from reports.page.methods import methods_paragraph
from reports.page.tuning_section import tuning_section
from tests.reports import synthetic

FOLDS = ("Ses01", "Ses02", "Ses03")
RATIO = np.full(3, 0.5)


def judged(result: Any, dev_uar: float) -> Any:
    return replace(
        result, curves={**result.curves, "dev_uar": result.curves["dev_uar"] * 0 + dev_uar}
    )


@pytest.fixture(scope="module")
def runs() -> list[Any]:
    """tanh and elu on three folds; seeds are two settings: 0 the study's own, 1 another."""
    chosen = synthetic.variants(["tanh", "elu"], ["gru"])
    return synthetic.study(chosen, folds=3, seeds=2, utterances=80)


@pytest.fixture(scope="module")
def design(runs: list[Any]) -> SearchDesign:
    """The own setting is better on dev of Ses01, as good on Ses02, worse on Ses03."""
    dev = {("Ses01", 0): 0.6, ("Ses01", 1): 0.5, ("Ses02", 0): 0.5, ("Ses02", 1): 0.5,
           ("Ses03", 0): 0.4, ("Ses03", 1): 0.7}  # fmt: skip
    own = synthetic.HYPER
    settings = [own, replace(own, learning_rate=0.5, clip_norm=1.0)]
    return SearchDesign(
        space={
            "training.learning_rate": {"choices": (1e-4, 0.5)},
            "training.clip_norm": {"choices": (None, 1.0)},
        },
        own=own,
        sampler="grid",
        seeds=(1000,),
        confirmed=True,
        tried=tuple(
            Tried(r.variant.label, r.fold, settings[r.seed], (judged(r, dev[r.fold, r.seed]),))
            for r in sorted(runs, key=lambda r: -r.seed)
        ),
    )


def test_each_fold_is_told_with_what_its_own_dev_set_chose_and_what_that_gave_on_test(
    runs: list[Any], design: SearchDesign
) -> None:
    found = search_of(design, FOLDS, RATIO, selection="dev")
    assert found is not None
    tanh = found.variants[0]
    assert tanh.chosen["training.learning_rate"] == (("0.0001", 2), ("0.5", 1))  # a tie: the own
    assert (tanh.own_dev, tanh.dev) == pytest.approx((50.0, 60.0))
    score = {(r.fold, r.seed): 100 * np.mean([(r.predictions("dev") == c)[r.truths == c].mean()
             for c in range(4)]) for r in runs if r.variant.activation.name == "tanh"}  # fmt: skip
    assert tanh.own_test == pytest.approx(np.mean([score[f, 0] for f in FOLDS]))
    gained = score["Ses03", 1] - score["Ses03", 0]
    assert tanh.test - tanh.own_test == pytest.approx(gained / 3)
    assert tanh.gain is not None
    assert tanh.gain.mean == pytest.approx(gained / 3)


def test_the_page_says_nested_and_optuna_draws_its_plots(
    runs: list[Any], design: SearchDesign
) -> None:
    analysis = analyse([r for r in runs if r.seed == 0], search=design)
    text = tuning_section(analysis.search)
    assert "nested, no score of another fold entered" in text
    assert "best tuned per variant" in text
    assert (
        "Settings (learning rate, clip norm) were chosen for each variant and fold among up to 2 "
        "by that fold's development set alone (nested)"
    ) in methods_paragraph(analysis)
    for name in ("importance", "history", "slice"):
        fig, _ = draw(name, analysis)
        assert fig.axes
    assert tuning_section(None) == ""
