"""Training of a stack: nobody depends on anybody, divergence is recorded, and it learns."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from activations.errors import GateswapError
from bench.data.batches import TrainingData
from bench.data.members import Hyperparameters, Member, Variant
from bench.network.iaan import IAAN
from bench.training.evaluation import Evaluation
from bench.training.identity import Origin
from bench.training.metrics import uar
from bench.training.results import SELECTIONS, MemberResult
from bench.training.stack import Stack
from bench.training.train import (
    StackProgress,
    TrainingSettings,
    TrainingStoppedError,
    train_stack,
)
from tests.bench import tiny

SETTINGS = TrainingSettings(
    implementation="reference", evaluation_rows=5, origin=Origin(study="tiny")
)
# learning rates, dropout, folds and seeds differ: all that may differ in a stack
HYPERS = [
    dataclasses.replace(tiny.SMALL, dropout=0.3),
    dataclasses.replace(tiny.SMALL, dropout=0.0, learning_rate=3e-3, clip_norm=0.5),
    dataclasses.replace(tiny.SMALL, dropout=0.1, l2=0.1, label_smoothing=0.0),
]


def stack(variant: Variant | None = None) -> list[Member]:
    chosen = variant or Variant()
    return [Member(chosen, f"S{m}", 3 + m, hyper) for m, hyper in enumerate(HYPERS)]


def train(members: Sequence[Member], data: TrainingData | None = None) -> list[MemberResult]:
    return train_stack(members, data or tiny.data(), SETTINGS)


def assert_same(a: MemberResult, b: MemberResult) -> None:
    """All that was computed is the same to the last bit."""
    assert (a.outcome, a.diverged_at, a.selected_step) == (
        b.outcome,
        b.diverged_at,
        b.selected_step,
    )
    for group in ("curves", "logits", "parameters", "diagnostics"):
        ours, theirs = getattr(a, group), getattr(b, group)
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{group} {name}")


@pytest.mark.parametrize(
    "variant", [Variant("arelu"), Variant(direction="bigru", reset_order="before")]
)
def test_member_in_a_stack_is_the_same_to_the_bit_as_the_member_alone(variant: Variant) -> None:
    members = stack(variant)
    for member, together in zip(members, train(members), strict=True):
        assert_same(together, train([member])[0])


def test_compiled_kernel_keeps_members_apart_too_and_trains_like_the_reference() -> None:
    members = stack(Variant("arelu", direction="bigru"))
    compiled = dataclasses.replace(SETTINGS, implementation="cpu")
    try:
        results = train_stack(members, tiny.data(), compiled)
    except GateswapError as error:
        pytest.skip(f"{error}")
    assert_same(results[1], train_stack(members[1:2], tiny.data(), compiled)[0])
    for ours, theirs in zip(results, train(members), strict=True):
        assert ours.identity.kernel.startswith("cpu")
        # float32 rounding, grown by six steps of Adam, whose first ones are sign(gradient)
        np.testing.assert_allclose(ours.logits["last"], theirs.logits["last"], atol=2e-4)


def test_order_of_the_stack_changes_nothing() -> None:
    members = stack()
    results = train(members)
    turned = [members[2], members[0], members[1]]
    for member, result in zip(turned, train(turned), strict=True):
        assert_same(result, results[members.index(member)])


def test_training_twice_gives_the_same_results() -> None:
    for a, b in zip(train(stack()), train(stack()), strict=True):
        assert_same(a, b)


def test_diverging_member_is_recorded_and_its_companions_do_not_notice() -> None:
    members = stack(Variant("identity"))
    wild = dataclasses.replace(
        members[1], hyper=dataclasses.replace(HYPERS[1], learning_rate=1e30, clip_norm=None)
    )
    results = train([members[0], wild, members[2]])
    calm = train([members[0], members[2]])
    assert_same(results[0], calm[0])
    assert_same(results[2], calm[1])

    diverged = results[1]
    assert diverged.outcome == "diverged"
    assert diverged.diverged_at is not None
    assert 1 <= diverged.diverged_at <= 3
    data = tiny.data()
    shares = np.bincount(data.examples.labels[data.folds["S1"].train]) / diverged.train_size
    for selection in SELECTIONS:
        np.testing.assert_allclose(np.exp(diverged.logits[selection][0]), shares, rtol=1e-6)
        assert uar(diverged.truths, diverged.predictions(selection), 4) == 0.25
        assert diverged.selected_step[selection] == 0
    assert diverged.diagnostics == {}
    assert MemberResult.from_bytes(diverged.to_bytes()).outcome == "diverged"


def test_stack_that_diverges_whole_ends_early_and_is_recorded() -> None:
    hyper = dataclasses.replace(tiny.SMALL, learning_rate=1e30, steps=400)
    seen: list[StackProgress] = []
    members = [Member(Variant("identity"), "S0", seed, hyper) for seed in range(2)]
    results = train_stack(members, tiny.data(), SETTINGS, on_progress=seen.append)
    assert [result.outcome for result in results] == ["diverged", "diverged"]
    assert seen[-1].alive == 0
    assert len(seen) < 10


def test_member_whose_evaluation_is_not_finite_diverges_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Evaluation.logits

    def broken(self: Evaluation, network: IAAN) -> list[tuple[Tensor, Tensor]]:
        logits = real(self, network)
        logits[1][1][0, 0] = math.inf
        return logits

    monkeypatch.setattr(Evaluation, "logits", broken)
    results = train(stack())
    assert [result.diverged_at for result in results] == [None, 3, None]


def test_small_data_set_is_learnt_by_heart() -> None:
    data = tiny.data(examples=36)
    fold = data.folds["S0"]
    rote = dataclasses.replace(fold, dev=fold.train, test=fold.train)
    hyper = dataclasses.replace(
        tiny.SMALL, batch_size=12, steps=60, evaluate_every=20, dropout=0.0, learning_rate=3e-2
    )
    data = dataclasses.replace(data, folds={"S0": rote})
    members = [Member(Variant(), "S0", seed, hyper) for seed in (0, 1)]
    for result in train(members, data):
        assert result.curves["test_uar"][-1] == 1.0
        # with ε = 0.1 the smoothed targets' entropy, 0.349, is the least loss there can be
        assert 0.349 < result.curves["train_loss"][-1] < 0.5


def test_loss_before_training_is_about_the_logarithm_of_the_number_of_classes() -> None:
    hyper = Hyperparameters(hidden_size=32, batch_size=36, dropout=0.0)
    members = [Member(Variant(), "S0", seed, hyper) for seed in range(4)]
    fresh = Stack(members, tiny.data(), "reference")
    fresh.step()
    losses, norms = fresh.take_means()
    # output weights of deviation 0.088 and 32 active units: logits differ by 0.5, which costs
    # about half their variance
    assert losses == pytest.approx([math.log(4) + 0.125] * 4, abs=0.2)
    assert all(norm > 0 for norm in norms)


def test_result_says_what_was_trained_on_what_and_by_what() -> None:
    data, members = tiny.data(), stack(Variant("arelu", direction="bigru"))
    result = train(members)[1]
    fold = data.folds["S1"]
    assert result.member == members[1]
    assert result.identity.study == "tiny"
    assert result.identity.kernel.startswith("reference")
    assert (result.identity.device, result.identity.precision) == ("cpu", "ieee")
    assert result.identity.torch == torch.__version__
    assert result.ids.tolist() == data.examples.ids[fold.test].tolist()
    assert result.truths.tolist() == data.examples.labels[fold.test].tolist()
    assert result.dev_truths.tolist() == data.examples.labels[fold.dev].tolist()
    assert result.lengths.tolist() == data.lengths[0].numpy()[fold.test].tolist()
    assert (result.train_size, result.test_size) == (len(fold.train), len(fold.test))
    assert result.classes == tiny.CLASSES
    assert result.curves["step"].tolist() == [3, 6]
    assert all(len(curve) == 2 for curve in result.curves.values())
    assert result.parameters["other.candidate"].shape == (2, 2, 2, 1)
    assert result.stack_members == 3
    assert result.wall_seconds > 0
    assert result.peak_memory_bytes > 1 << 20
    H, inputs, width = 8, 5, 16
    gru = 2 * (3 * H * (inputs + H + 2) + 2)
    attention = 3 * (3 * width + 3 + 3) + 2 * 3 * width
    dense = 6 * 3 * width + 6 + 12 + 4 * 6 + 4
    assert result.parameter_count == 3 * gru + attention + dense


def test_selected_logits_are_those_of_the_first_best_evaluation() -> None:
    hyper = dataclasses.replace(tiny.SMALL, steps=12, evaluate_every=2)
    result = train([Member(Variant(), "S0", 1, hyper)])[0]
    steps, curves = result.curves["step"], result.curves
    assert result.selected_step["dev"] == steps[np.argmax(curves["dev_uar"])]
    assert result.selected_step["oracle"] == steps[np.argmax(curves["test_uar"])]
    assert result.selected_step["last"] == 12
    for name in SELECTIONS:
        point = steps.tolist().index(result.selected_step[name])
        scored = uar(result.truths, result.predictions(name), 4)
        assert scored == pytest.approx(curves["test_uar"][point])


def test_last_step_is_evaluated_even_between_two_evaluation_points() -> None:
    hyper = dataclasses.replace(tiny.SMALL, steps=5, evaluate_every=3)
    result = train([Member(Variant(), "S0", 1, hyper)])[0]
    assert result.curves["step"].tolist() == [3, 5]


def test_size_of_the_evaluation_batches_hardly_matters() -> None:
    # other batches, other blocks of the matrix products: the same up to float32 rounding
    coarse = train_stack(stack(), tiny.data(), dataclasses.replace(SETTINGS, evaluation_rows=64))
    for a, b in zip(train(stack()), coarse, strict=True):
        np.testing.assert_allclose(a.logits["last"], b.logits["last"], rtol=1e-5, atol=1e-5)


def test_training_stops_when_asked_to() -> None:
    seen: list[StackProgress] = []
    with pytest.raises(TrainingStoppedError, match="before step 5 of 6"):
        train_stack(
            stack(), tiny.data(), SETTINGS, on_progress=seen.append, stop=lambda: len(seen) == 4
        )
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert math.isnan(seen[0].dev_uar)
    assert 0 <= seen[-1].dev_uar <= 1


def test_members_that_cannot_share_a_stack_are_refused() -> None:
    with pytest.raises(ValueError, match="2 stack groups"):
        train([*stack()[:1], *stack(Variant("relu"))[:1]])
    with pytest.raises(ValueError, match="no fold 'S9'; there are S0, S1, S2"):
        train([Member(Variant(), "S9", 0, tiny.SMALL)])
    with pytest.raises(ValueError, match="at least one member"):
        train([])
