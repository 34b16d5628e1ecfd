"""Recorded steps: few shapes, each large enough, and the examples that were asked for."""

import torch
from torch import Tensor

from bench.training.recorded import RecordedStep, rounded_up

CPU = torch.device("cpu")


def test_sizes_are_rounded_up_to_few_values_by_at_most_an_eighth() -> None:
    sizes = [rounded_up(n) for n in range(1, 10_000)]
    assert all(n <= size <= n + n / 8 for n, size in enumerate(sizes, start=1))
    assert sizes == sorted(sizes)
    assert len({size for n, size in enumerate(sizes, start=1) if 4000 <= n < 8000}) == 9
    assert rounded_up(0) == 1


def test_each_step_gets_its_own_examples_and_room_for_its_longest_group() -> None:
    lengths = torch.tensor([[3, 9, 1, 0], [2, 2, 2, 2], [0, 0, 40, 7]])
    seen: list[tuple[list[list[int]], int, int]] = []

    def step(examples: Tensor, room: int, steps: int) -> None:
        seen.append((examples.tolist(), room, steps))

    recorded = RecordedStep(step, lambda examples: lengths[:, examples], (2, 2), CPU)
    for examples in ([[0, 1], [2, 3]], [[3, 3], [1, 1]], [[2, 2], [2, 2]]):
        recorded(torch.tensor(examples))
    assert seen == [
        ([[0, 1], [2, 3]], rounded_up(47), rounded_up(40)),
        ([[3, 3], [1, 1]], rounded_up(18), rounded_up(9)),
        ([[2, 2], [2, 2]], rounded_up(80), rounded_up(40)),
    ]
