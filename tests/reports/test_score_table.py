import dataclasses

import numpy as np
import pytest

from activations.errors import InputError
from bench.data.members import Hyperparameters, Member, Variant
from bench.data.protocol import Protocol
from bench.training.identity import CorpusIdentity
from reports.score_table import load
from tests.reports import synthetic


def test_scores_are_the_mean_of_the_recalls_in_points() -> None:
    results = synthetic.study(synthetic.variants(["tanh"], ["gru"]), folds=3, seeds=2)
    scores, _ = load(results)
    first = results[0]
    said = first.logits["dev"].argmax(1)
    recalls = [np.mean(said[first.truths == c] == c) for c in range(4)]
    found = scores.data["uar"].sel(variant="tanh · gru", fold="Ses01", seed=0, selection="dev")
    assert float(found) == pytest.approx(100 * np.mean(recalls), abs=1e-10)
    assert scores.of("tanh · gru").shape == (3, 2)


def test_a_run_without_a_result_is_nan_and_named() -> None:
    gap = ("elu · bigru", 1, 2)
    scores, predictions = load(synthetic.study(missing=[gap]))
    assert [dataclasses.astuple(run) for run in scores.missing] == [("elu · bigru", "Ses02", 2)]
    assert np.isnan(scores.of("elu · bigru")[1, 2])
    assert np.isfinite(scores.of("elu · bigru")).sum() == 14
    right = predictions.correct("elu · bigru")
    assert (np.isnan(right[2]) == (predictions.fold == 1)).all()


def test_a_planned_variant_without_any_result_has_a_row() -> None:
    results = synthetic.study(synthetic.variants(["tanh"], ["gru"]), folds=2, seeds=1)
    planned = [r.member for r in results] + [
        Member(Variant("relu"), "Ses01", 0, results[0].hyper),
    ]
    scores, _ = load(results, planned=planned)
    assert set(scores.variants) == {"tanh · gru", "relu · gru"}
    assert [(run.variant, run.fold) for run in scores.missing] == [("relu · gru", "Ses01")]
    assert np.isnan(scores.of("relu · gru")).all()


def test_a_diverged_run_counts_with_chance_level_and_is_flagged() -> None:
    scores, _ = load(synthetic.study(diverged=[("relu · gru", 0, 1)]))
    assert scores.of("relu · gru")[0, 1] == pytest.approx(25.0)
    assert bool(scores.data["diverged"].sel(variant="relu · gru", fold="Ses01", seed=1))
    assert int(scores.data["diverged"].sum()) == 1


def test_ratio_is_each_folds_own() -> None:
    results = synthetic.study(synthetic.variants(["tanh"], ["gru"]), seeds=1)
    scores, _ = load(results)
    expected = [r.test_size / r.train_size for r in results]
    assert scores.ratio == pytest.approx(expected)
    assert len(set(expected)) > 1


def test_one_variant_with_two_settings_is_two_rows_named_by_what_differs() -> None:
    plain = synthetic.study(synthetic.variants(["tanh"], ["gru"]), folds=2, seeds=1)
    hyper = Hyperparameters.from_dict(plain[0].hyper.as_dict() | {"learning_rate": 0.001})
    other = [
        synthetic.of_another(r, member=dataclasses.replace(r.member, hyper=hyper)) for r in plain
    ]
    scores, _ = load(plain + other)
    assert scores.variants == (
        "tanh · gru · learning_rate 0.0001",
        "tanh · gru · learning_rate 0.001",
    )


def test_each_utterance_keeps_its_speaker_and_dialogue() -> None:
    results = synthetic.study(seeds=2)
    _, predictions = load(results)
    assert predictions.ids.size == sum(r.test_size for r in results[:: len(results) // 5][:5])
    assert len(set(predictions.speakers)) == 10
    for dialog, utterance in zip(predictions.dialogs, predictions.ids, strict=True):
        assert utterance.startswith(dialog)


TANH, HYPER = Variant("tanh"), synthetic.HYPER


def _with_identity(index: int, **changes: object) -> list:
    results = synthetic.study(synthetic.variants(["tanh"], ["gru"]), folds=2, seeds=1)
    results[index] = synthetic.of_another(results[index], **changes)
    return results


@pytest.mark.parametrize(
    ("results", "named"),
    [
        ([], "no result"),
        (_with_identity(1, corpus=CorpusIdentity(name="x", fingerprint="1")), "corpus"),
        (_with_identity(1, protocol=Protocol(context_turns=3)), "protocol"),
        (_with_identity(1, member=Member(TANH, "Ses01", 0, HYPER)), "two results"),
        (_with_identity(1, member=Member(TANH, "Ses01", 1, HYPER)), "other utterances"),
    ],
)
def test_results_that_do_not_belong_together_are_refused(results: list, named: str) -> None:
    with pytest.raises(InputError, match=named):
        load(results)


def test_variants_are_in_the_plans_order_and_without_one_sorted() -> None:
    results = synthetic.study(synthetic.variants(["tanh", "elu"]), folds=2, seeds=1)
    scores, _ = load(results[::-1])
    assert scores.variants == ("elu · gru", "tanh · gru", "elu · bigru", "tanh · bigru")
    scores, _ = load(results[::-1], planned=[r.member for r in results])
    assert scores.variants == ("tanh · gru", "elu · gru", "tanh · bigru", "elu · bigru")
