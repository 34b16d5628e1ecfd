"""Stacked Adam against torch's Adam and clipping, member by member."""

import sys

import pytest
import torch
from torch import Tensor, nn

from bench.network.adam import StackedAdam
from tests.interpreter import interpret

SHAPES = ((3, 5, 4), (2, 3), (1, 7), (1, 3, 2))  # [E, …] of one member
LIMITLESS = float("inf")
ON = "reference"


@pytest.fixture(params=["reference", "cpu"], autouse=True)
def _implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ON", request.param)


def parameters(members: int, *, only: int | None = None) -> list[nn.Parameter]:
    """Parameters [E·M, …]; of member `only` alone if asked for."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(s[0], members, *s[1:], generator=generator) for s in SHAPES]
    if only is not None:
        drawn = [d[:, only : only + 1] for d in drawn]
    return [nn.Parameter(d.flatten(0, 1).clone()) for d in drawn]


def gradients(members: int, step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(s[0], members, *s[1:], generator=generator) for s in SHAPES]


def adam(
    stack: list[nn.Parameter],
    rates: list[float],
    l2: list[float] | None = None,
    clip: list[float] | None = None,
) -> StackedAdam:
    members = len(rates)
    return StackedAdam(
        stack,
        members,
        learning_rate=torch.tensor(rates),
        l2=torch.tensor(l2 or [0.0] * members),
        clip_norm=torch.tensor(clip or [LIMITLESS] * members),
        decayed=stack[1:3],
        implementation=ON,
    )


def walk(optimiser: StackedAdam, steps: int, member: int | None = None) -> None:
    members = len(optimiser.alive)
    for step in range(steps):
        drawn = gradients(3, step)
        own = drawn if member is None else [g[:, member : member + 1] for g in drawn]
        optimiser.step(torch.zeros(members), [g.flatten(0, 1) for g in own])


def member_of(stack: list[nn.Parameter], members: int, m: int) -> list[Tensor]:
    return [p.detach().view(-1, members, *p.shape[1:])[:, m] for p in stack]


def test_each_member_moves_as_torch_adam_moves_it_with_its_own_rate_decay_and_clipping() -> None:
    rates, l2, clip = [1e-2, 3e-3, 1e-1], [0.0, 1e-2, 0.3], [LIMITLESS, 1.0, 20.0]
    stack = parameters(3)
    walk(adam(stack, rates, l2, clip), 12)
    for m in range(3):
        alone = parameters(3, only=m)
        oracle = torch.optim.Adam(alone, lr=rates[m])
        for step in range(12):
            for p, gradient in zip(alone, gradients(3, step), strict=True):
                p.grad = gradient[:, m].clone()
            for p in alone[1:3]:  # as the loss's term ½ l2 ‖w‖² does: before clipping
                assert p.grad is not None
                p.grad += l2[m] * p.detach()
            nn.utils.clip_grad_norm_(alone, clip[m])
            oracle.step()
        for ours, theirs in zip(member_of(stack, 3, m), alone, strict=True):
            # float32 rounding of 12 steps of at most 0.1 each
            torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("clip", [LIMITLESS, 2.0])
def test_member_moves_to_the_same_bits_in_a_stack_as_alone(clip: float) -> None:
    rates = [1e-2, 3e-3, 1e-1]
    stack = parameters(3)
    walk(adam(stack, rates, [1e-3] * 3, [clip] * 3), 8)
    for m in range(3):
        alone = parameters(3, only=m)
        walk(adam(alone, rates[m : m + 1], [1e-3], [clip]), 8, m)
        for together, single in zip(member_of(stack, 3, m), alone, strict=True):
            assert torch.equal(together, single)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_member_that_is_not_finite_stays_where_it_was_and_harms_nobody(
    where: str, value: float
) -> None:
    hurt, healthy = parameters(3), parameters(3)
    one, two = adam(hurt, [1e-2] * 3), adam(healthy, [1e-2] * 3)
    walk(one, 3)
    walk(two, 3)
    before = [v.clone() for v in member_of(hurt, 3, 1)]

    losses, healthy_ones = torch.zeros(3), [torch.zeros_like(p) for p in healthy]
    broken = [torch.zeros_like(p) for p in hurt]
    if where == "loss":
        losses[1] = value
    else:
        broken[0].view(3, 3, 5, 4)[2, 1, 0, 0] = value
    one.step(losses, broken)
    two.step(torch.zeros(3), healthy_ones)
    assert one.alive.tolist() == [True, False, True]
    walk(one, 3)
    walk(two, 3)

    assert one.alive.tolist() == [True, False, True]
    for now, then in zip(member_of(hurt, 3, 1), before, strict=True):
        assert torch.equal(now, then)
    for m in (0, 2):
        for a, b in zip(member_of(hurt, 3, m), member_of(healthy, 3, m), strict=True):
            assert torch.equal(a, b)


def test_norm_is_the_global_norm_of_each_member_before_clipping() -> None:
    stack = parameters(3)
    optimiser = adam(stack, [1e-2] * 3, clip=[0.1] * 3)
    drawn = gradients(3, 0)
    norms = optimiser.step(torch.zeros(3), [gradient.flatten(0, 1) for gradient in drawn])
    expected = [torch.cat([d[:, m].flatten() for d in drawn]).norm() for m in range(3)]
    torch.testing.assert_close(norms, torch.stack(expected))


def test_first_step_is_the_rate_in_the_gradients_direction_whatever_its_size() -> None:
    stack = parameters(2)
    optimiser = adam(stack, [1.0, 0.5])
    before = stack[1].detach().clone()
    loss = stack[1].square().sum() + 0.0 * sum(p.sum() for p in stack)
    optimiser.step(torch.zeros(2), torch.autograd.grad(loss, stack))
    moved = (before - stack[1].detach()).view(2, 2, 3)
    torch.testing.assert_close(moved, before.view(2, 2, 3).sign() * torch.tensor([[[1.0], [0.5]]]))


def test_gpu_steps_equal_torchs_with_clipping_l2_and_a_member_that_diverges() -> None:
    pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")
    found = interpret("bench.network.gpu.interpreted_adam", None)
    # float32 rounding of ten steps; the sums of squares have another order
    assert found["values"] < 1e-6
    assert found["norms"] < 1e-6
    assert found["alive"] == [[[True] * 3] * 5 + [[True, False, True]] * 5] * 2
    assert found["alone"] == 0  # bits that differ between a stack and a member alone
    assert found["frozen"] == 0
    assert found["moved"] == 1.0
