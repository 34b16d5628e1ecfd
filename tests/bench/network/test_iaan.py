"""The stacked network against one padded network built from torch's own parts."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from bench.data.batches import Batch, TrainingData, gather
from bench.data.members import Direction, Hyperparameters, Variant
from bench.network import norm
from bench.network.iaan import ENCODERS, IAAN
from tests.bench import tiny

KEYS = torch.tensor([3, 1 << 40, 7])


def network(
    variant: Variant | None = None, keys: Tensor = KEYS, hyper: Hyperparameters = tiny.SMALL
) -> IAAN:
    return IAAN(
        variant or Variant(),
        hyper,
        keys,
        features=tiny.FEATURES,
        classes=4,
        implementation="reference",
    )


def batch(data: TrainingData, members: int, rows: int = 6, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return gather(data, torch.randint(len(data.labels), (members, rows), generator=generator))


def own(net: IAAN, name: str, m: int) -> Tensor:
    """Member m's tensors of a parameter, [E, …]."""
    parameter = dict(net.named_parameters())[name]
    return parameter.view(-1, net.members, *parameter.shape[1:])[:, m]


def padded_logits(net: IAAN, given: Batch, m: int, directions: int) -> Tensor:
    """The published equations for member m, written with padding, masks and torch.nn.GRU."""
    M, B = net.members, given.packing.rows
    padded = given.packing.unpack(given.frames)  # [3 M, T, B, I]
    lengths = given.packing.lengths
    states, masks = [], []
    for e in range(3):
        gru = nn.GRU(tiny.FEATURES, net.encoders.hidden_size, bidirectional=directions == 2)
        for name, _ in list(gru.named_parameters()):
            delattr(gru, name)  # ours take their place and receive the gradients
            setattr(gru, name, own(net, f"encoders.{name}", m)[e])
        x, n = padded[e * M + m], lengths[e * M + m]
        out = x.new_zeros(len(x), B, directions * net.encoders.hidden_size)
        for b in range(B):
            if n[b]:
                row = torch.func.functional_call(gru, {}, (x[: n[b], b : b + 1],))[0][:, 0]
                out = out.index_put((torch.arange(int(n[b])), torch.tensor(b)), row)
        states.append(out)
        masks.append(torch.arange(len(x))[:, None] < n)

    def softmax_mean(e: int, scores: Tensor) -> Tensor:
        weights = scores.masked_fill(~masks[e], -1e30).softmax(0) * masks[e]
        return (weights[..., None] * states[e]).sum(0)

    def keys(e: int) -> Tensor:
        weight, bias = own(net, "attention_weight", m)[e], own(net, "attention_bias", m)[e]
        return states[e] @ weight.t() + bias

    u = own(net, "attention_score", m)
    contexts = [softmax_mean(e, keys(e).tanh() @ u[e]) for e in (1, 2)]
    w = own(net, "context_weight", m)
    mixed = keys(0) + contexts[0] @ w[0].t() + contexts[1] @ w[1].t()
    focus = softmax_mean(0, mixed.tanh() @ u[0])
    x = torch.cat([focus, *contexts], 1)
    x = x @ own(net, "dense_weight", m)[0].t() + own(net, "dense_bias", m)[0]
    gain, shift = own(net, "norm_gain", m)[0], own(net, "norm_shift", m)[0]
    x = nn.functional.layer_norm(x, x.shape[1:], gain, shift, norm.EPSILON).relu()
    return x @ own(net, "output_weight", m)[0].t() + own(net, "output_bias", m)[0]


@pytest.mark.parametrize("direction", ["gru", "bigru"])
def test_stack_equals_padded_networks_of_torch_in_logits_and_all_gradients(direction: str) -> None:
    variant = Variant(direction=direction)  # type: ignore[arg-type]
    net = network(variant)
    given = batch(tiny.data(), 3)
    assert given.packing.has_empty  # missing contexts are among them
    logits = net(given.frames, given.packing)
    parameters = list(net.parameters())
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad((logits * weights).sum(), parameters)
    padded = torch.stack([padded_logits(net, given, m, variant.directions) for m in range(3)])
    theirs = torch.autograd.grad((padded * weights).sum(), parameters)
    # float32 sums in another order; gradients are sums over 18 rows and all frames
    torch.testing.assert_close(logits, padded, rtol=1e-5, atol=1e-5)
    for (name, _), a, b in zip(net.named_parameters(), ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5, msg=name)


def test_row_with_no_frames_at_all_gets_the_logits_of_zeros_and_no_nan() -> None:
    net = network()
    data = tiny.data()
    examples = torch.zeros(3, 2, dtype=torch.int64)
    given = gather(data, examples, present=torch.tensor([[True, False]] * 3))
    logits = net(given.frames, given.packing)
    assert torch.isfinite(logits).all()
    nothing = nn.functional.layer_norm(net.dense_bias, net.dense_bias.shape[1:]).relu()
    expected = torch.einsum("mcd,md->mc", net.output_weight, nothing) + net.output_bias
    torch.testing.assert_close(logits[:, 1], expected)


def test_batch_without_any_context_trains() -> None:
    data = tiny.data()
    alone = dataclasses.replace(data, lengths=data.lengths * torch.tensor([[1], [0], [0]]))
    net = network()
    given = batch(alone, 3)
    net(given.frames, given.packing).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all(), name
    assert not net.context_weight.grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "variant", [Variant("arelu", direction="bigru"), Variant("relu", reset_order="before")]
)
def test_member_computes_the_same_bits_in_a_stack_as_alone(variant: Variant) -> None:
    data = tiny.data()
    stack = network(variant)
    examples = torch.randint(36, (3, 6), generator=torch.Generator().manual_seed(0))
    given = gather(data, examples)
    logits = stack(given.frames, given.packing)
    logits.square().sum().backward()
    for m in range(3):
        alone = network(variant, KEYS[m : m + 1])
        single = gather(data, examples[m : m + 1])
        own_logits = alone(single.frames, single.packing)
        own_logits.square().sum().backward()
        assert torch.equal(own_logits[0], logits[m])
        for (name, a), b in zip(stack.named_parameters(), alone.parameters(), strict=True):
            assert a.grad is not None
            assert b.grad is not None
            together = a.grad.view(-1, 3, *a.shape[1:])[:, m]
            assert torch.equal(together, b.grad.view_as(together)), name


def test_initial_values_are_the_authors_distributions() -> None:
    hyper = dataclasses.replace(tiny.SMALL, hidden_size=64, dense_size=64, attention_size=16)
    net = network(hyper=hyper).requires_grad_(False)
    H, inputs = 64, tiny.FEATURES
    weight = net.encoders.weight_hh_l0.detach()  # type: ignore[operator]
    for rows, outputs in ((slice(0, 2 * H), 2 * H), (slice(2 * H, 3 * H), H)):
        limit = math.sqrt(6 / (inputs + H + outputs))  # Glorot & Bengio of TensorFlow's kernels
        assert weight[:, rows].abs().max() == pytest.approx(limit, rel=1e-2)
        assert weight[:, rows].std() == pytest.approx(limit / math.sqrt(3), rel=1e-2)
    bias = net.encoders.bias_ih_l0.detach()  # type: ignore[operator]
    assert (bias[:, : 2 * H] == 1).all()
    assert not bias[:, 2 * H :].any()
    assert not net.encoders.bias_hh_l0.any()  # type: ignore[operator]
    assert net.attention_weight.std() == pytest.approx(0.1, rel=3e-2)
    assert net.dense_weight.abs().max() <= 0.2
    # the standard deviation of a standard normal cut at ±2 is 0.8796
    assert net.dense_weight.std() == pytest.approx(0.08796, rel=3e-2)
    assert (net.dense_bias == 0.1).all()


@pytest.mark.parametrize("direction", ["gru", "bigru"])
def test_orthogonal_recurrent_matrices_are_that_and_each_gate_has_its_own(
    direction: Direction,
) -> None:
    hyper = dataclasses.replace(tiny.SMALL, hidden_size=16, init="orthogonal")
    orthogonal, glorot = (
        dict(network(Variant(direction=direction), hyper=h).encoders.named_parameters())
        for h in (hyper, dataclasses.replace(hyper, init="glorot"))
    )
    recurrent = [name for name in orthogonal if name.startswith("weight_hh")]
    gates = torch.cat([orthogonal[name].detach().view(-1, 16, 16) for name in recurrent])
    torch.testing.assert_close(gates @ gates.mT, torch.eye(16).expand_as(gates))
    assert len({tuple(gate.flatten().tolist()) for gate in gates}) == len(gates)
    # of either sign and determinant alike, and of no preferred direction
    assert 0.25 < (torch.linalg.det(gates) > 0).float().mean() < 0.75
    assert abs(float(gates.mean())) < 5 / 16 / math.sqrt(gates.numel() / 16)
    for name in orthogonal.keys() - set(recurrent):
        assert torch.equal(orthogonal[name], glorot[name])


@pytest.mark.parametrize("recurrent_bias", [True, False])
def test_uniform_initial_values_are_torch_s(recurrent_bias: bool) -> None:
    hyper = dataclasses.replace(
        tiny.SMALL, hidden_size=64, init="uniform", recurrent_bias=recurrent_bias
    )
    ours = dict(network(hyper=hyper).encoders.requires_grad_(False).named_parameters())
    for name, theirs in torch.nn.GRU(tiny.FEATURES, 64).requires_grad_(False).named_parameters():
        if name == "bias_hh_l0" and not recurrent_bias:
            assert not ours[name].any()
            continue
        limit = float(theirs.abs().max())
        assert ours[name].abs().max() == pytest.approx(limit, rel=3e-2)
        assert ours[name].std() == pytest.approx(float(theirs.std()), rel=0.15)
        assert len(ours[name].unique()) > 0.9 * ours[name].numel()


def test_encoders_and_members_start_from_different_weights() -> None:
    weight = network().encoders.weight_ih_l0.detach()  # type: ignore[operator]
    assert len({tuple(w.flatten().tolist()) for w in weight}) == len(ENCODERS) * len(KEYS)


def test_building_a_network_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    network()
    assert torch.equal(before, torch.random.get_rng_state())


def test_learnt_activation_parameters_are_reported_by_encoder_and_site() -> None:
    net = network(Variant("arelu", direction="bigru"))
    found = net.activation_parameters()
    assert sorted(found) == ["current.candidate", "other.candidate", "own.candidate"]
    assert found["own.candidate"].shape == (3, 2, 2, 1)
    assert found["own.candidate"][1, 0, :, 0].tolist() == pytest.approx([0.9, 2.0])
    with torch.no_grad():
        net.encoders.candidate_l0_reverse[2 * 3 + 1, 0] = 0.5  # type: ignore[operator]
    changed = net.activation_parameters()["other.candidate"][:, :, 0, 0]
    torch.testing.assert_close(changed, torch.tensor([[0.9, 0.9], [0.9, 0.5], [0.9, 0.9]]))
    assert network().activation_parameters() == {}
