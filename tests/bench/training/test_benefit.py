"""How many members are worth a stack: arithmetic on a plan's sizes, and what it must never do."""

from dataclasses import replace

import pytest
import torch

from bench.data.members import Hyperparameters, Member, Variant
from bench.speed.step_time import iemocap_like_data
from bench.training.benefit import operations, worthwhile_members
from bench.training.stack import Stack
from tests.bench import tiny

DATA = iemocap_like_data(400)


def members(count: int, **sizes: int) -> list[Member]:
    hyper = Hyperparameters(**sizes)
    return [Member(Variant("tanh"), "session 1", seed, hyper) for seed in range(count)]


def test_small_networks_train_together_and_large_ones_alone() -> None:
    assert worthwhile_members(members(25, hidden_size=32), DATA, threads=2) > 12
    assert 1 < worthwhile_members(members(25, hidden_size=128), DATA, threads=2) < 10
    assert worthwhile_members(members(25, hidden_size=512), DATA, threads=2) == 1


def test_more_threads_are_worth_more_members() -> None:
    few, many = (
        worthwhile_members(members(25, hidden_size=512), DATA, threads=threads)
        for threads in (2, 64)
    )
    assert few < many <= 25


def test_operations_are_near_those_that_torch_counts_of_the_reference() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    data = tiny.data()
    (member,) = [Member(Variant("tanh"), "S0", 0, replace(tiny.SMALL, hidden_size=64))]
    stack = Stack([member], data, "reference")
    counted = []
    for _ in range(8):
        with FlopCounterMode(display=False) as counter:
            stack.step()
        counted.append(counter.get_total_flops())
    mean = torch.tensor(counted, dtype=torch.float64).mean().item()
    assert operations(member, data) == pytest.approx(mean, rel=0.3)
