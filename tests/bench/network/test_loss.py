"""The smoothed loss against torch's own cross-entropy, and the GPU's kernel against it."""

import importlib.util

import pytest
import torch

from bench.network.loss import smoothed_cross_entropy
from tests.interpreter import interpret

CASES: dict[str, dict[str, object]] = {
    "the network's classes": {"B": 7, "C": 4},
    "rows in more than one tile": {"B": 37, "C": 4},
    "three classes": {"B": 5, "C": 3},
    "logits beyond the exponential": {"B": 6, "C": 4, "scale": 300.0},
}


def test_smoothed_loss_equals_torchs_for_each_member() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 4, generator=generator)
    labels = torch.randint(4, (3, 6), generator=generator)
    smoothing = torch.tensor([0.0, 0.1, 0.5])
    expected = [
        torch.nn.functional.cross_entropy(logits[m], labels[m], label_smoothing=float(smoothing[m]))
        for m in range(3)
    ]
    torch.testing.assert_close(
        smoothed_cross_entropy(logits, labels, smoothing), torch.stack(expected)
    )


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float]]:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed (it exists for Linux only)")
    found: dict[str, dict[str, float]] = interpret("bench.network.gpu.interpreted_loss", CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_gpu_loss_equals_torchs_in_value_and_gradient_and_is_each_members_own(
    name: str, interpreted: dict[str, dict[str, float]]
) -> None:
    # float32 roundings (6e-8) of sums of at most 37 rows
    assert interpreted[name].pop("alone") == 0
    wrong = {tensor: error for tensor, error in interpreted[name].items() if not error < 2e-6}
    assert not wrong
