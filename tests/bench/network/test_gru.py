"""A stack of GRU networks against networks of torch.nn.GRU, padded and one at a time."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.batches import Batch, Hearing, gather
from bench.data.members import Hyperparameters, Variant
from bench.network import norm
from bench.network.dropout import DropoutSource
from bench.network.gru import GRUNetwork
from bench.network.kinds import KINDS, network_class
from tests.bench import tiny

KEYS = torch.tensor([3, 1 << 40, 7])
SMALL = dataclasses.replace(tiny.SMALL, kind="gru")


def network(variant: Variant, hyper: Hyperparameters, keys: Tensor = KEYS) -> GRUNetwork:
    net = network_class("gru")(variant, hyper, keys, features=tiny.FEATURES, classes=4)
    assert isinstance(net, GRUNetwork)
    return net


def batch(members: int = 3, rows: int = 6, empty: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(0)
    examples = torch.randint(36, (members, rows), generator=generator)
    present = torch.ones(members, rows, dtype=torch.bool)
    present[:, 0] = not empty
    return gather(tiny.data(), examples, present, hearing=Hearing(1))


class Plain(nn.Module):
    """The same network of one member, as anybody would write it with torch."""

    def __init__(self, net: GRUNetwork, variant: Variant, hyper: Hyperparameters, m: int) -> None:
        super().__init__()
        H, D = hyper.hidden_size, variant.directions
        self.gru = nn.GRU(tiny.FEATURES, H, hyper.layers, bidirectional=D == 2)
        own = {n: net.by_member(p)[:, m].view(p.shape[1:]) for n, p in net.named_parameters()}
        for name, parameter in self.gru.named_parameters():
            leaf, _, layer = name.partition("_l")
            parameter.data = own[f"encoders.{layer[0]}.{leaf}_l0{layer[1:]}"].detach().clone()
        for name, value in own.items():
            if not name.startswith("encoders."):
                self.register_parameter(name, nn.Parameter(value.detach().clone()))
        self.pooling = hyper.pooling

    def forward(self, x: Tensor) -> Tensor:
        """Logits [C] of one utterance [T, I]."""
        h, last = self.gru(x[:, None])
        h = h[:, 0]
        at: Any = self.get_parameter
        if self.pooling == "mean":
            pooled = h.mean(0)
        elif self.pooling == "last":
            D = 2 if self.gru.bidirectional else 1
            pooled = last[-D:, 0].flatten()
        else:
            scores = (h @ at("attention_weight").t() + at("attention_bias")).tanh()
            pooled = (scores @ at("attention_score")).softmax(0) @ h
        x = at("dense_weight") @ pooled + at("dense_bias")
        x = nn.functional.layer_norm(
            x, x.shape, at("norm_gain"), at("norm_shift"), eps=norm.EPSILON
        )
        return at("output_weight") @ x.relu() + at("output_bias")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("direction", "layers", "pooling"),
    [("gru", 1, "attention"), ("bigru", 2, "last"), ("gru", 3, "mean"), ("bigru", 1, "attention")],
)
def test_stack_equals_networks_of_torch_gru_in_logits_and_all_gradients(
    direction: Any, layers: int, pooling: Any
) -> None:
    variant = Variant(direction=direction)
    hyper = dataclasses.replace(SMALL, layers=layers, pooling=pooling)
    net, given = network(variant, hyper), batch()
    logits = net(given.frames, given.packing)
    ours = torch.autograd.grad(
        nn.functional.cross_entropy(logits.flatten(0, 1), given.labels.flatten(), reduction="sum"),
        list(net.parameters()),
    )
    frames = given.packing.unpack(given.frames)
    for m in range(3):
        plain = Plain(net, variant, hyper, m)
        utterances = [frames[m, : int(n), b] for b, n in enumerate(given.packing.lengths[m])]
        expected = torch.stack([plain(x) for x in utterances])
        # float32 sums in another order
        torch.testing.assert_close(logits[m], expected, rtol=1e-5, atol=1e-5)
        nn.functional.cross_entropy(expected, given.labels[m], reduction="sum").backward()
        theirs = dict(plain.named_parameters())
        for (name, parameter), gradient in zip(net.named_parameters(), ours, strict=True):
            layer, _, leaf = name.removeprefix("encoders.").rpartition(".")
            if layer:
                leaf = "gru." + leaf.replace("_l0", f"_l{layer}")
            of_torch = theirs[leaf].grad
            own = gradient.view(-1, 3, *parameter.shape[1:])[0, m]
            torch.testing.assert_close(own, of_torch, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize("pooling", ["attention", "mean", "last"])
def test_member_computes_the_same_bits_in_a_stack_as_alone_with_an_empty_row(pooling: Any) -> None:
    variant = Variant("arelu", direction="bigru")
    hyper = dataclasses.replace(SMALL, layers=2, pooling=pooling)

    def run(members: list[int]) -> tuple[Tensor, list[Tensor]]:
        net = network(variant, hyper, KEYS[members])
        examples = torch.randint(36, (3, 6), generator=torch.Generator().manual_seed(0))[members]
        present = torch.arange(6).expand(len(members), 6) > 0
        given = gather(tiny.data(), examples, present, hearing=Hearing(1))
        source = DropoutSource(
            KEYS[members],
            torch.full((len(members),), 0.3),
            features=tiny.FEATURES,
            width=net.dropped_width,
            dense=hyper.dense_size,
        )
        logits = net(given.frames, given.packing, source.draw(2, given.packing))
        gradients = torch.autograd.grad(logits.square().sum(), list(net.parameters()))
        return logits, [net.by_member(gradient) for gradient in gradients]

    together, gradients = run([0, 1, 2])
    assert torch.isfinite(together).all()
    for m in range(3):
        alone, own = run([m])
        assert torch.equal(alone[0], together[m])
        for a, b in zip(own, gradients, strict=True):
            assert torch.equal(a[:, 0], b[:, m])


def test_dropout_reaches_the_states_of_every_layer_and_the_dense_layer() -> None:
    hyper = dataclasses.replace(SMALL, layers=2)
    net, given = network(Variant(), hyper), batch()
    ones = torch.ones(given.packing.N, net.dropped_width)
    plain = net(given.frames, given.packing)
    for place in range(3):
        states, dense = ones.clone(), torch.ones(18, hyper.dense_size)
        if place < 2:
            states[:, 8 * place : 8 * (place + 1)] = 0.5
        else:
            dense[:, 0] = 0.0
        source = DropoutSource(KEYS, torch.full((3,), 0.5), features=5, width=16, dense=6)
        masks = source.draw(0, given.packing)
        assert masks is not None
        assert masks.outputs.shape == ones.shape
        masks = dataclasses.replace(masks, outputs=states, dense=dense)
        assert not torch.allclose(plain, net(given.frames, given.packing, masks))


def test_every_layer_starts_from_weights_of_its_own_and_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    net = network(Variant(), dataclasses.replace(SMALL, layers=3))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [layer.gru.weight_hh_l0.detach() for layer in net.recurrences]
    assert len({tuple(w.flatten().tolist()) for layer in weights for w in layer}) == 9


def test_learnt_activation_parameters_are_reported_by_layer_and_site() -> None:
    net = network(Variant("arelu", direction="bigru"), dataclasses.replace(SMALL, layers=2))
    found = net.activation_parameters()
    assert sorted(found) == ["layer1.candidate", "layer2.candidate"]
    assert found["layer2.candidate"].shape == (3, 2, 2, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_how_many_parameters_a_member_has(kind: str) -> None:
    reads = {"layers": 2} if "layers" in KINDS[kind].reads else {}
    hyper = dataclasses.replace(tiny.SMALL, kind=kind, **reads)  # type: ignore[arg-type]
    for variant in (Variant(), Variant(direction="bigru")):
        network_of_kind = network_class(kind)
        net = network_of_kind(variant, hyper, KEYS, features=7, classes=4)
        said = network_of_kind.footprint(variant, hyper, features=7, classes=4, learns=False)
        assert said.parameters == net.parameter_count
        names = [name for recurrence in net.recurrences for name in recurrence.names]
        assert said.directions == len(names) * variant.directions
        assert KINDS[kind].contexts == (net.utterances > 1)
