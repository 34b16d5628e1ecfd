"""Warming: what runs once in other processes, and what becomes of what does not run."""

import pytest

from bench.speed.layers.warm import run_once, warm


def test_layers_run_in_other_processes_and_each_is_reported_once() -> None:
    jobs = [("tanh", 4, "ieee"), ("relu", 4, "ieee")]
    found = list(warm(jobs, device="cpu", processes=1))
    assert sorted((each.activation, each.hidden, each.precision) for each in found) == sorted(jobs)
    assert all(each.seconds > 0 and not each.error for each in found)


def test_a_layer_that_cannot_run_is_told_and_raises_nothing() -> None:
    found = run_once(("swsh", 4, "ieee"), "cpu")
    assert "no activation 'swsh'" in found.error


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["ieee", "tf32", "bf16"])
def test_on_a_gpu_a_layer_is_compiled_and_runs(precision: str) -> None:
    assert run_once(("arelu", 32, precision), "cuda").error == ""
