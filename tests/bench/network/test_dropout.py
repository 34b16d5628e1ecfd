"""Dropout masks: the members' own, the same bits from C, from torch operations and from Triton."""

import importlib.util

import pytest
import torch
from torch import Tensor

from activations.kernels.packing import Packing
from bench.data.batches import Batch, gather
from bench.network.cpu import dropout as dropout_cpu
from bench.network.dropout import Dropout, DropoutSource
from tests.bench import tiny
from tests.interpreter import interpret

KEYS = torch.tensor([3, 1 << 40, 7])
LENGTHS = [[3, 0, 4], [1, 2, 2], [5, 1, 1]]
CASES: dict[str, dict[str, object]] = {
    "the network's sizes": {"features": 45, "width": 64, "dense": 64},
    "a step beyond 31 bits": {"features": 5, "width": 8, "dense": 6, "step": 3_000_000_000},
    "a step on the device": {"features": 5, "width": 8, "dense": 6, "on_device": True},
    "one feature": {"features": 1, "width": 2, "dense": 1},
    "more than one program": {"features": 300, "width": 130, "dense": 1000},
    "with room": {"features": 5, "width": 8, "dense": 6, "room": 11},
    "one encoder": {"features": 5, "width": 16, "dense": 6, "room": 11, "encoders": 1},
    "no frame at all": {"features": 5, "width": 8, "dense": 6, "lengths": [[0], [0], [0]]},
}


def batch(rows: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return gather(tiny.data(), torch.randint(36, (3, rows), generator=generator))


def masks(
    packing: Packing,
    keys: Tensor,
    drop: Tensor,
    step: int = 4,
    *,
    features: int = tiny.FEATURES,
    width: int = 8,
) -> Dropout:
    source = DropoutSource(keys, drop, features=features, width=width, dense=6)
    drawn = source.draw(step, packing)
    assert drawn is not None
    return drawn


def test_dropout_masks_of_a_member_do_not_depend_on_its_companions() -> None:
    data = tiny.data()
    examples = torch.randint(36, (3, 6), generator=torch.Generator().manual_seed(0))
    drop = torch.tensor([0.5, 0.25, 0.1])
    given = gather(data, examples)
    together = masks(given.packing, KEYS, drop)
    bounds = given.packing.bounds
    for m in range(3):
        own = gather(data, examples[m : m + 1]).packing
        alone = masks(own, KEYS[m : m + 1], drop[m : m + 1])
        assert torch.equal(alone.inputs, together.inputs[bounds[m] : bounds[m + 1]])
        assert torch.equal(alone.outputs, together.outputs[bounds[m] : bounds[m + 1]])
        assert torch.equal(alone.dense, together.dense[m * 6 : (m + 1) * 6])


@pytest.mark.parametrize(("features", "width"), [(5, 8), (45, 64), (1, 2), (8, 8), (3, 130)])
def test_compiled_dropout_masks_are_the_bits_of_the_tensor_operations(
    features: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not dropout_cpu.available():
        pytest.skip("no C compiler")
    packing = batch().packing
    drop = torch.tensor([0.5, 0.0, 0.1])
    keys = torch.tensor([-3, (1 << 62) + 7, 0])

    def drawn() -> Dropout:
        return masks(packing, keys, drop, 70_000, features=features, width=width)

    compiled = drawn()
    monkeypatch.setattr(dropout_cpu, "available", lambda: False)
    assert torch.equal(compiled.inputs, drawn().inputs)
    assert torch.equal(compiled.outputs, drawn().outputs)
    assert torch.equal(compiled.dense, drawn().dense)


def test_dropout_keeps_the_expectation_drops_its_share_and_leaves_zero_alone() -> None:
    given = batch(rows=400)
    drop = torch.tensor([0.5, 0.0, 0.1])
    drawn = masks(given.packing, KEYS, drop)
    bounds = given.packing.bounds
    for m, p in enumerate(drop.tolist()):
        mask = drawn.outputs[bounds[m] : bounds[m + 1]]  # some 16,000 numbers
        kept = mask[mask != 0]
        torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))
        assert (mask == 0).float().mean() == pytest.approx(p, abs=0.015)
    assert not torch.equal(drawn.outputs, masks(given.packing, KEYS, drop, step=5).outputs)
    assert not torch.equal(drawn.inputs[:, 0], drawn.inputs[:, 1])


def test_nothing_is_drawn_where_nobody_drops() -> None:
    source = DropoutSource(KEYS, torch.zeros(3), features=5, width=8, dense=6)
    assert source.draw(0, batch().packing) is None


@pytest.mark.parametrize("drop", [1.0, -0.1, float("nan")])
def test_probability_that_is_none_is_refused(drop: float) -> None:
    with pytest.raises(ValueError, match="dropout probabilities"):
        DropoutSource(KEYS, torch.tensor([0.1, drop, 0.1]), features=5, width=8, dense=6)


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float]]:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed (it exists for Linux only)")
    cases = {name: {"lengths": LENGTHS, "step": 4} | case for name, case in CASES.items()}
    found: dict[str, dict[str, float]] = interpret("bench.network.gpu.interpreted_dropout", cases)
    return found


@pytest.mark.parametrize("name", CASES)
def test_gpu_masks_are_the_bits_of_the_cpus(
    name: str, interpreted: dict[str, dict[str, float]]
) -> None:
    share = interpreted[name].pop("kept")
    assert not any(interpreted[name].values())
    assert name == "no frame at all" or 0 < share < 1  # or nothing was compared
