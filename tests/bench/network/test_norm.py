"""The GPU's layer normalisation against torch's; torch's own is held by the network's tests."""

import pytest

from tests.interpreter import interpret

pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")

CASES: dict[str, dict[str, object]] = {
    "the network's units": {"M": 2, "B": 5, "D": 64},
    "rows in more than one tile": {"M": 3, "B": 37, "D": 6},
    "one row of three": {"M": 1, "B": 1, "D": 3},
    "a mean that hides the deviation": {"M": 2, "B": 4, "D": 48, "mean": 1e3},
}


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = interpret("bench.network.gpu.interpreted_norm", CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_gpu_normalisation_equals_torchs_in_values_and_gradients_and_is_each_members_own(
    name: str, interpreted: dict[str, dict[str, float]]
) -> None:
    # float32 roundings (6e-8) of sums of at most 64; 1e3 beside deviations of 1 costs three digits
    limit = 2e-4 if "mean" in CASES[name] else 2e-6
    assert interpreted[name].pop("alone") == 0
    wrong = {tensor: error for tensor, error in interpreted[name].items() if not error < limit}
    assert not wrong
