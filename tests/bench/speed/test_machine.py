"""Recording a run on a GPU, as the benchmarks do."""

import gc
import weakref

import pytest
import torch

from bench.speed.machine import captured


@pytest.mark.gpu
def test_what_a_recording_reads_lives_as_long_as_the_recording() -> None:
    numbers = torch.arange(1000.0, device="cuda")
    alive = weakref.ref(numbers)
    replay = captured(lambda numbers=numbers: numbers.sum())
    del numbers
    gc.collect()
    torch.full((1000,), 7.0, device="cuda")  # where it would have been
    assert alive() is not None
    assert float(replay()) == 499_500.0
