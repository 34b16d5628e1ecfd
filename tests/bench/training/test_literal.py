"""What the code of IAAN's authors does, written once more in NumPy and plain torch, and ours.

Theirs is 30stomercury/Interaction-Aware-Attention-Network: data.py (batches), ops.py and model.py.
Every row is padded with zeros to one length, the GRUs run over the padding, contexts attend to it.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from activations.errors import InputError
from bench.data.batches import Hearing, Order, TrainingData, gather, gather_in_room
from bench.data.members import MISSING_FRAMES, Hyperparameters, Member, Variant
from bench.network.adam import StackedAdam
from bench.network.iaan import IAAN
from bench.training.evaluation import Evaluation
from bench.training.results import MemberResult
from bench.training.stack import Stack
from bench.training.train import TrainingSettings, train_stack
from tests.bench import tiny

LITERAL: dict[str, Any] = {
    "context_mask": False,
    "missing_context": "frames",
    "truncate": "last",
    "last_batch": "drop",
    "norm_epsilon": 1e-12,
    "recurrent_bias": False,
    "adam": "tensorflow",
    "dropout": 0.0,
}
HYPER = dataclasses.replace(tiny.SMALL, **LITERAL)
BEFORE = Variant("tanh", reset_order="before")
EMPTY = np.zeros((MISSING_FRAMES, tiny.FEATURES), dtype=np.float32)  # their 'pad' utterance


def utterances(data: TrainingData, example: int) -> list[np.ndarray[Any, Any]]:
    """An example's three utterances, [T, I] each, a missing one as their dictionary has it."""
    found = []
    for e in range(3):
        start, length = int(data.offsets[e, example]), int(data.lengths[e, example])
        found.append(data.frames[start : start + length].numpy() if length else EMPTY)
    return found


def padded(data: TrainingData, examples: list[int]) -> list[Tensor]:
    """get_batch: three [B, sl, I], sl the longest utterance of the last example."""
    rows = [utterances(data, example) for example in examples]
    sl = max(len(each) for each in rows[-1])
    batch = np.zeros((3, len(rows), 99, tiny.FEATURES), dtype=np.float32)
    for b, row in enumerate(rows):
        for e, frames in enumerate(row):
            batch[e, b, : len(frames)] = frames
    return [torch.from_numpy(each[:, :sl]) for each in batch]


def logits(net: IAAN, batch: list[Tensor], m: int = 0) -> Tensor:
    """_build_model without dropout, by member m's weights: logits [B, C]."""

    def own(name: str) -> Tensor:
        parameter = dict(net.named_parameters())[name]
        return parameter.view(-1, net.members, *parameter.shape[1:])[:, m]

    def gru(x: Tensor, e: int) -> Tensor:  # TF1's GRUCell under dynamic_rnn without lengths
        w, u, b = (own(f"encoders.{n}_l0")[e] for n in ("weight_ih", "weight_hh", "bias_ih"))
        (w_r, w_z, w_n), (u_r, u_z, u_n), (b_r, b_z, b_n) = w.chunk(3), u.chunk(3), b.chunk(3)
        h, states = x.new_zeros(len(x), u.shape[1]), []
        for t in range(x.shape[1]):
            r = torch.sigmoid(x[:, t] @ w_r.t() + h @ u_r.t() + b_r)
            z = torch.sigmoid(x[:, t] @ w_z.t() + h @ u_z.t() + b_z)
            c = torch.tanh(x[:, t] @ w_n.t() + (r * h) @ u_n.t() + b_n)
            h = z * h + (1 - z) * c
            states.append(h)
        return torch.stack(states, 1)

    states = [gru(x, e) for e, x in enumerate(batch)]
    keys = [states[e] @ own("attention_weight")[e].t() + own("attention_bias")[e] for e in range(3)]
    score = own("attention_score")
    contexts = []
    for e in (1, 2):
        weights = (keys[e].tanh() @ score[e]).softmax(1)  # over all positions
        contexts.append((weights[..., None] * states[e]).sum(1))
    mask = batch[0].sum(-1).abs().sign()  # of frames that are there
    offers = contexts[0] @ own("context_weight")[0].t() + contexts[1] @ own("context_weight")[1].t()
    scores = (keys[0] + offers[:, None]).tanh() @ score[0]
    weights = torch.where(mask == 0, -10e8, scores).softmax(1)
    focus = (weights[..., None] * states[0] * mask[..., None]).sum(1)
    dense = torch.cat([focus, *contexts], 1) @ own("dense_weight")[0].t() + own("dense_bias")[0]
    centred = dense - dense.mean(1, keepdim=True)
    dense = centred / (centred.square().mean(1, keepdim=True) + 1e-12).sqrt()
    dense = (dense * own("norm_gain")[0] + own("norm_shift")[0]).relu()
    return dense @ own("output_weight")[0].t() + own("output_bias")[0]


def members(hyper: Hyperparameters = HYPER) -> list[Member]:
    return [Member(BEFORE, f"S{m}", m, hyper) for m in range(2)]


@pytest.mark.parametrize("in_room", [False, True], ids=["packed", "in room"])
def test_a_batch_gives_the_logits_and_gradients_of_their_padded_graph(in_room: bool) -> None:
    data = tiny.data()
    stack = Stack(members(), data, "reference")
    net = stack.network
    assert isinstance(net, IAAN)
    examples = stack._order.examples(1)
    if in_room:
        longest = stack.hearing.lengths(data.lengths, examples)
        room, steps = int(longest.sum(-1).max()) + 5, int(longest.max()) + 2
        batch = gather_in_room(data, examples, room, steps, stack.hearing)
        # what a GPU lays out is what the host lays out, and spare frames behind it
        packed = gather(data, examples, hearing=stack.hearing)
        for g in range(packed.packing.groups):
            first, last = packed.packing.bounds[g : g + 2]
            start = batch.packing.bounds[g]
            theirs = batch.frames[start : start + last - first]
            assert torch.equal(theirs, packed.frames[first:last])
        return
    batch = gather(data, examples, hearing=stack.hearing)
    ours = net(batch.frames, batch.packing)
    theirs = torch.stack(
        [logits(net, padded(data, own.tolist()), m) for m, own in enumerate(examples)]
    )
    cut = stack.hearing.lengths(data.lengths, examples)[0] < data.lengths[0, examples]
    assert cut.any()  # some utterances are longer than the last example's
    assert (data.lengths[1:, examples] == 0).any()  # some contexts are missing
    # float32 sums in another order
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    learn = [each for each in net.parameters() if each.requires_grad]
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), learn),
        torch.autograd.grad(theirs.square().sum(), learn),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


def test_test_sets_are_judged_in_their_batches_of_like_lengths() -> None:
    hyper = dataclasses.replace(HYPER, batch_size=3)
    data, chosen = tiny.data(), members(hyper)
    stack = Stack(chosen, data, "reference")
    found = Evaluation(chosen, data, 128, stack.hearing).logits(stack.network)
    for m, member in enumerate(chosen):
        for side, ours in zip(("dev", "test"), found[m], strict=True):
            own = getattr(data.folds[member.fold], side).tolist()
            longest = {x: max(len(each) for each in utterances(data, x)) for x in own}
            ordered = sorted(own, key=lambda x: longest[x])
            theirs = {}
            for first in range(0, len(ordered), 6):
                rows = ordered[first : first + 6]
                for x, row in zip(rows, logits(stack.network, padded(data, rows), m), strict=True):
                    theirs[x] = row.detach()
            expected = torch.stack([theirs[x] for x in own])
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_each_option_alone_changes_what_is_heard_as_it_says() -> None:
    data = tiny.data()
    example = int(torch.nonzero((data.lengths[1] == 0) & (data.lengths[0] > 2))[0])
    examples = torch.tensor([[example, 0]])
    plain = data.lengths[:, examples]

    def heard(**options: Any) -> Tensor:
        member = Member(Variant(), "S0", 0, dataclasses.replace(tiny.SMALL, **options))
        return Hearing.of([member], data, 3).lengths(data.lengths, examples)

    assert torch.equal(heard(), plain)
    with_frames = heard(missing_context="frames")
    assert int(with_frames[1, 0, 0]) == MISSING_FRAMES
    assert torch.equal(with_frames[0], plain[0])
    last = int(plain[:, 0, 1].max())
    assert torch.equal(heard(truncate="last"), plain.clamp(max=last))
    endless = heard(context_mask=False)
    assert torch.equal(endless[0], plain[0])
    assert (endless[1:] == plain.max()).all()


def test_what_does_not_fill_a_batch_is_dropped_and_every_epoch_begins_anew() -> None:
    data, chosen = tiny.data(), members()
    n, size = len(data.folds["S0"].train), HYPER.batch_size
    assert n % size  # something is left
    order = Order(chosen[:1], data)
    batches = [order.examples(step)[0] for step in range(2 * (n // size))]
    epochs = [torch.cat(batches[: n // size]), torch.cat(batches[n // size :])]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == n // size * size
    assert not torch.equal(*epochs)
    with pytest.raises(InputError, match=r"training\.last_batch: drop leaves fold S0 without"):
        Order(members(dataclasses.replace(HYPER, batch_size=n + 1)), data)


def test_adam_adds_epsilon_where_tensorflow_does() -> None:
    start = torch.tensor([[0.5, -2.0, 1e-3]])
    weight = nn.Parameter(start.clone())
    none = torch.zeros(1)
    adam = StackedAdam(
        [weight], 1, learning_rate=none + 0.1, l2=none, clip_norm=none + torch.inf, raw_epsilon=True
    )
    theirs, m, v = start.double().numpy(), np.zeros((1, 3)), np.zeros((1, 3))
    random = np.random.default_rng(0)
    for t in range(1, 6):
        # as small as epsilon, where it matters which of the two is corrected
        g = random.normal(size=(1, 3)) * 1e-8
        adam.step(none, [torch.from_numpy(g).float()])
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        rate = 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)  # tf.train.AdamOptimizer's
        theirs = theirs - rate * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(weight.detach().numpy(), theirs, rtol=2e-5)


def test_the_second_bias_stays_zero_and_is_not_counted() -> None:
    data = tiny.data()
    one, two = (
        Stack(members(dataclasses.replace(HYPER, recurrent_bias=both)), data, "reference")
        for both in (False, True)
    )
    for stack in (one, two):
        stack.step()
    biases = [dict(s.network.named_parameters())["encoders.bias_hh_l0"] for s in (one, two)]
    assert not biases[0].any()
    assert biases[1].any()
    difference = two.network.parameter_count - one.network.parameter_count
    assert difference == 3 * 3 * HYPER.hidden_size


def test_checkpoints_are_chosen_under_dropout_and_scored_without() -> None:
    data = tiny.data()
    settings = TrainingSettings(implementation="reference", evaluation_rows=5)
    hyper = dataclasses.replace(tiny.SMALL, dropout=0.6, steps=24, evaluate_every=2)
    clean = train_stack([Member(Variant(), "S0", 1, hyper)], data, settings)[0]
    noisy = dataclasses.replace(hyper, select_with_dropout=True)
    result = train_stack([Member(Variant(), "S0", 1, noisy)], data, settings)[0]
    for name, curve in clean.curves.items():  # training is the same, and so are the scores
        np.testing.assert_array_equal(result.curves[name], curve)
    np.testing.assert_array_equal(result.logits["last"], clean.logits["last"])
    assert result.selected_step != clean.selected_step


def test_a_literal_member_trains_the_same_alone_and_in_a_stack_without_a_dev_set() -> None:
    data = tiny.data()
    folds = {name: dataclasses.replace(fold, dev=fold.dev[:0]) for name, fold in data.folds.items()}
    data = dataclasses.replace(data, folds=folds)
    settings = TrainingSettings(implementation="reference")
    chosen = members(dataclasses.replace(HYPER, select_with_dropout=True, dropout=0.2))
    together = train_stack(chosen, data, settings)
    alone = train_stack(chosen[1:], data, settings)[0]
    assert together[1].outcome == "ok"
    for name in ("last", "oracle"):
        np.testing.assert_array_equal(together[1].logits[name], alone.logits[name])
    assert together[1].selected_step["dev"] == HYPER.steps  # nothing to choose on: the last one
    assert np.isnan(together[1].dev_uar())
    assert MemberResult.from_bytes(together[1].to_bytes()).selected_step["dev"] == HYPER.steps
