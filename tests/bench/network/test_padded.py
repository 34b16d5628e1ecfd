"""Members taken out of a stack: the stack's own logits, from torch's layers.

That they can be exported is tested in tests/oracles/test_trained_onnx.py.
"""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.batches import Batch, Hearing, gather
from bench.data.members import Variant
from bench.network.kinds import network_class
from bench.network.network import Network
from tests.bench import tiny

KEYS = torch.tensor([3, 1 << 40, 7])
# float32: sums in another order
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
KINDS = [
    ("iaan", {}),
    ("gru", {"layers": 1, "pooling": "attention"}),
    ("gru", {"layers": 2, "pooling": "mean"}),
    ("gru", {"layers": 2, "pooling": "last"}),
]


def network(kind: str, options: dict[str, Any], variant: Variant) -> Network:
    hyper = dataclasses.replace(tiny.SMALL, kind=kind, **options)
    net = network_class(kind)(variant, hyper, KEYS, features=tiny.FEATURES, classes=4).eval()
    with torch.no_grad():  # a norm's start, 1 and 0, would not show an exchange
        net.norm_gain.uniform_(0.5, 1.5)
        net.norm_shift.uniform_(-0.5, 0.5)
    return net


def batch_for(net: Network) -> Batch:
    generator = torch.Generator().manual_seed(0)
    examples = torch.randint(36, (3, 6), generator=generator)
    return gather(tiny.data(), examples, hearing=Hearing(net.utterances))


def inputs_of_members(net: Network) -> list[tuple[Tensor, ...]]:
    """What each member's padded module takes of the same batch."""
    batch = batch_for(net)
    packing = batch.packing
    padded = packing.unpack(batch.frames).transpose(1, 2)  # [E M, B, T, I]
    given = []
    for m in range(3):
        frames = [padded[e * 3 + m] for e in range(net.utterances)]
        lengths = packing.lengths[m::3]
        given.append((*frames, lengths if net.utterances > 1 else lengths[0]))
    return given


def logits_of_the_stack(net: Network) -> Tensor:
    batch = batch_for(net)
    with torch.no_grad():
        return net(batch.frames, batch.packing)


@pytest.mark.parametrize("direction", ["gru", "bigru"])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_every_member_taken_out_gives_its_logits_in_the_stack(kind, options, direction):
    net = network(kind, options, Variant("arelu", direction=direction))
    expected, given = logits_of_the_stack(net), inputs_of_members(net)
    if kind == "iaan":
        assert any((each[-1] == 0).any() for each in given), "no context is missing"
    for m in range(3):
        module = net.padded(m)
        assert not module.training
        with torch.no_grad():
            torch.testing.assert_close(module(*given[m]), expected[m], **TOLERANCE)
    with pytest.raises(IndexError, match="members 0 to 2, not 3"):
        net.padded(3)


@pytest.mark.filterwarnings("ignore:.*slow reference:UserWarning")
@pytest.mark.parametrize(("kind", "options"), KINDS[:2])
def test_a_gradient_penalty_of_a_stack_is_that_of_its_members(kind, options):
    net = network(kind, options, Variant("arelu")).double()
    batch = batch_for(net)
    given = inputs_of_members(net)

    def penalty(logits: Tensor, *leaves: Tensor) -> Tensor:
        slopes = torch.autograd.grad(logits.square().sum(), leaves, create_graph=True)
        return torch.stack([each.square().sum() for each in slopes]).sum()

    frames = batch.frames.double().requires_grad_()
    penalty(net(frames, batch.packing), frames).backward()
    for m in range(3):
        module = net.padded(m)
        *padded, lengths = given[m]
        padded = [each.double().requires_grad_() for each in padded]
        penalty(module(*padded, lengths), *padded).backward()
        found = net.by_member(net.dense_weight.grad)[0, m].view_as(module.head.dense.weight)
        # float64, and only the order of sums differs
        torch.testing.assert_close(found, module.head.dense.weight.grad, rtol=1e-9, atol=1e-11)
        assert found.abs().max() > 1e-3
