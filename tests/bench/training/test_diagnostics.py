"""Diagnostics against the reference recurrence, autograd and cells built by hand."""

import dataclasses

import numpy as np
import pytest
import torch

from activations.kernels.dispatch import recurrence
from activations.kernels.packing import Packing
from bench.data.batches import Batch, Hearing, gather
from bench.data.members import Variant
from bench.network.iaan import IAAN
from bench.network.kinds import network_class
from bench.training.diagnostics import REACH, _direction, diagnose
from tests.bench import tiny


def network(variant: Variant, members: int = 2) -> IAAN:
    return IAAN(
        variant,
        tiny.SMALL,
        torch.arange(members) + 5,
        features=tiny.FEATURES,
        classes=4,
        implementation="reference",
    )


def batch(members: int = 2, rows: int = 6) -> Batch:
    return gather(tiny.data(), torch.arange(members * rows).view(members, rows))


VARIANTS = [
    Variant("tanh", direction="bigru"),
    Variant("arelu", direction="bigru", reset_order="before"),
    Variant("swish", update="hardsigmoid"),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_gates_computed_from_the_states_lead_to_the_same_states(variant: Variant) -> None:
    net, given = network(variant), batch()
    with torch.no_grad():
        states, _ = net.encoders(given.frames, given.packing)
        for d in range(variant.directions):
            view = _direction(net.encoders, given.frames, given.packing, states, d)
            update, _, candidate = view.all_gates()
            after = (1 - update) * candidate + update * view.previous
            torch.testing.assert_close(after[view.real], view.states[view.real])


@pytest.mark.parametrize("variant", VARIANTS)
def test_reach_equals_autograd_through_the_whole_recurrence(variant: Variant) -> None:
    """One utterance, one direction at a time, replayed step by step with the public recurrence."""
    net, given = network(variant, 1), batch(1, 1)
    found = diagnose(net, given)[0]["gradient_reach"]
    enc, T = net.encoders, int(given.packing.lengths[0, 0])
    assert T >= 3
    frames = given.frames[:T]
    states = enc(given.frames, given.packing)[0].detach().requires_grad_()
    logits = net.head(states, given.packing)
    loss = torch.nn.functional.cross_entropy(logits[0], given.labels[0])
    errors = torch.autograd.grad(loss, states)[0][:T]
    named = dict(enc.named_parameters())
    for d, suffix in enumerate(("", "_reverse")[: variant.directions]):
        walked = frames if d == 0 else frames.flip(0)
        error = errors[-1 if d == 0 else 0].view(variant.directions, -1)[d]
        gates_x = walked @ named[f"weight_ih_l0{suffix}"][0].t() + named[f"bias_ih_l0{suffix}"][0]
        empty = gates_x.new_empty(1, 1, 0, 1)
        sites = [named.get(f"{site}_l0{suffix}") for site in ("update", "reset", "candidate")]
        values = tuple(empty if s is None else s[0].view(1, 1, -1, 1) for s in sites)
        h, states_of_steps = torch.zeros(1, 1, 1, 8), []
        for t in range(T):
            h = recurrence(
                gates_x[t].view(1, 1, -1),
                named[f"weight_hh_l0{suffix}"][:1, None],
                named[f"bias_hh_l0{suffix}"][:1, None],
                Packing.full(1, 1, 1),
                enc.cell,
                values,  # type: ignore[arg-type]
                h,
                implementation="reference",
            ).view(1, 1, 1, 8)
            states_of_steps.append(h)
        gradients = torch.autograd.grad(h, states_of_steps, error.view_as(h))
        expected = [float(g.norm()) for g in reversed(gradients)]
        np.testing.assert_allclose(found[0, d, :T], expected, rtol=1e-4)
        assert np.isnan(found[0, d, T:]).all()


def test_lower_layer_s_error_is_what_comes_through_the_layers_above() -> None:
    hyper = dataclasses.replace(tiny.SMALL, kind="gru", layers=2)
    net = network_class("gru")(
        Variant("relu", direction="bigru"), hyper, torch.tensor([5]), features=5, classes=4
    )
    given = gather(tiny.data(), torch.tensor([[3]]), hearing=Hearing(1))
    found = diagnose(net, given)[0]
    lower, upper = (recurrence.gru for recurrence in net.recurrences)
    states = lower(given.frames, given.packing)[0].detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(
        net.head(upper(states, given.packing)[0], given.packing, above=1)[0], given.labels[0]
    )
    (errors,) = torch.autograd.grad(loss, states)
    assert found["gradient_reach"].shape == (2, 2, REACH + 1)
    # at distance 0 it is the error itself: where each direction ends
    assert found["gradient_reach"][0, 0, 0] == pytest.approx(float(errors[-1, :8].norm()))
    assert found["gradient_reach"][0, 1, 0] == pytest.approx(float(errors[0, 8:].norm()))
    norms = states.detach().view(-1, 2, 8).square().mean(2).sqrt().mean(0)
    np.testing.assert_allclose(found["state_norm"][0], norms, rtol=1e-5)


def test_shapes_and_ranges_are_as_promised() -> None:
    results = diagnose(network(Variant("relu", direction="bigru"), 3), batch(3))
    assert len(results) == 3
    for found in results:
        assert found["saturated"].shape == (3, 2, 2, 2)
        assert found["dead_units"].shape == found["state_norm"].shape == (3, 2)
        assert found["gradient_reach"].shape == (3, 2, REACH + 1)
        for name in ("saturated", "dead_units"):
            assert ((found[name] >= 0) & (found[name] <= 1)).all()
        assert (found["state_norm"] > 0).all()


def test_gates_driven_to_their_ends_are_counted_as_saturated() -> None:
    net = network(Variant())
    with torch.no_grad():
        net.encoders.bias_hh_l0[:, :8] = -50.0  # type: ignore[operator]
        net.encoders.bias_hh_l0[:, 8:16] = 50.0  # type: ignore[operator]
    found = diagnose(net, batch())[1]
    np.testing.assert_array_equal(found["saturated"][:, 0, 0], [[0, 1]] * 3)  # update: all high
    np.testing.assert_array_equal(found["saturated"][:, 0, 1], [[1, 0]] * 3)  # reset: all low
    # an update gate of 1 keeps the state of zeros, and carries the error back unchanged
    assert found["state_norm"].max() == pytest.approx(0, abs=1e-6)
    reach = found["gradient_reach"][0, 0]
    assert reach[3] == pytest.approx(reach[0], rel=0.3)  # utterances long enough change with k


def test_candidate_that_never_fires_is_dead_and_one_that_does_is_not() -> None:
    net = network(Variant("relu"))
    with torch.no_grad():
        net.encoders.bias_ih_l0[:, 16:18] = -1000.0  # type: ignore[operator]
        net.encoders.bias_ih_l0[:, 18:] = 10.0  # type: ignore[operator]
    for found in diagnose(net, batch()):
        np.testing.assert_allclose(found["dead_units"], 2 / 8)


def test_encoder_that_got_no_frames_has_no_diagnostics_but_the_others_have() -> None:
    data = tiny.data()
    missing = torch.from_numpy(np.flatnonzero(data.examples.own < 0)[:2])
    found = diagnose(network(Variant(), 1), gather(data, missing[None]))[0]
    for values in found.values():
        assert np.isnan(values[1]).all()
        assert not np.isnan(values[0, 0].flat[0])
