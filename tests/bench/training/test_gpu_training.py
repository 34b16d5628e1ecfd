"""Training with the GPU kernels: as on the CPU, without waiting, and nobody depends on anybody."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.batches import TrainingData
from bench.data.members import Hyperparameters, Member, Variant
from bench.speed.step_time import FOLD, iemocap_like_lengths, made_up_data
from bench.training.stack import Stack
from bench.training.train import TrainingSettings, train_stack
from tests.interpreter import interpret

pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")

Run = list[dict[str, list[float]]]  # by member


NETWORKS: dict[str, dict[str, Any]] = {
    "iaan": {},
    "gru": {"kind": "gru", "layers": 2, "pooling": "last"},  # attention is IAAN's, too
}


@pytest.fixture(scope="module", params=NETWORKS)
def interpreted(request: pytest.FixtureRequest) -> list[Run]:
    """Both members by the reference, both by the GPU kernels, the second alone by them."""
    runs = [
        {"implementation": "reference", "chosen": [0, 1]},
        {"implementation": "gpu", "chosen": [0, 1]},
        {"implementation": "gpu", "chosen": [1]},
    ]
    # the second step tests Adam and the streams, which are the same for every network
    settings = {"settings": NETWORKS[request.param], "steps": 2 if request.param == "iaan" else 1}
    return interpret("bench.training.interpreted_training", [run | settings for run in runs])


def test_step_of_the_gpu_kernels_is_the_references_step(interpreted: list[Run]) -> None:
    reference, gpu, _ = interpreted
    for ours, theirs in zip(gpu, reference, strict=True):
        # float32 rounding; Adam's first steps are the gradients' signs, so that a gradient near
        # zero may take its parameter elsewhere by a learning rate
        np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
        np.testing.assert_allclose(ours["norms"], theirs["norms"], rtol=1e-4)
        apart = np.abs(np.subtract(ours["parameters"], theirs["parameters"]))
        assert np.quantile(apart, 0.99) < 1e-5


def test_member_of_the_gpu_kernels_is_the_same_to_the_bit_alone_and_in_a_stack(
    interpreted: list[Run],
) -> None:
    _, together, alone = interpreted
    assert alone[0] == together[1]


# on a device

HYPER = Hyperparameters(hidden_size=128, batch_size=16, steps=12, evaluate_every=6)
SMALL = Hyperparameters(hidden_size=64, batch_size=16, steps=12, evaluate_every=6)
WIDE = Hyperparameters(hidden_size=320, batch_size=16, steps=12, evaluate_every=6)


def data(device: str) -> TrainingData:
    return made_up_data(iemocap_like_lengths(200, mean=30, longest=80), device=device)


def members(hyper: Hyperparameters, variant: Variant, count: int = 3) -> list[Member]:
    return [Member(variant, FOLD, seed, hyper) for seed in range(count)]


@contextmanager
def products(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def losses(stack: Stack, steps: int) -> np.ndarray:
    found = []
    for _ in range(steps):
        stack.step()
        found.append(stack.take_means()[0])
    return np.array(found)


VARIANTS = [Variant(), Variant("arelu", direction="bigru"), Variant("swish_beta", update="elliott")]


@pytest.mark.gpu
@pytest.mark.parametrize("hyper", [SMALL, HYPER, WIDE], ids=lambda h: f"H={h.hidden_size}")
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.label)
# what the formats' roundings (2^-24, 2^-11, 2^-9) come to in a loss of about 1.4 after five steps
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("highest", 1e-4), ("high", 5e-3), ("medium", 3e-2)]
)
def test_first_steps_on_the_gpu_have_the_losses_of_those_on_the_cpu(
    hyper: Hyperparameters, variant: Variant, precision: str, tolerance: float
) -> None:
    on_cpu = losses(Stack(members(hyper, variant), data("cpu")), 5)
    with products(precision):
        on_gpu = losses(Stack(members(hyper, variant), data("cuda")), 5)
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize("hyper", [HYPER, WIDE], ids=lambda h: f"H={h.hidden_size}")
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_member_on_the_gpu_is_the_same_to_the_bit_alone_and_in_a_stack(
    hyper: Hyperparameters, precision: str
) -> None:
    with products(precision):
        for variant in VARIANTS:
            stack = members(hyper, variant)
            together = train_stack(stack, data("cuda"))[1]
            alone = train_stack(stack[1:2], data("cuda"))[0]
            assert together.curves.keys() == alone.curves.keys()
            for name, curve in together.curves.items():
                np.testing.assert_array_equal(curve, alone.curves[name], err_msg=name)
            np.testing.assert_array_equal(together.logits["last"], alone.logits["last"])


@pytest.mark.gpu
def test_recorded_steps_do_what_unrecorded_ones_do() -> None:
    variant = Variant("arelu")
    stack = Stack(members(HYPER, variant), data("cuda"))
    wanted = losses(stack, 12)
    assert stack.recorded is not None
    assert stack.recorded._graphs
    plain = Stack(members(HYPER, variant), data("cuda"))
    assert plain.recorded is not None
    plain.recorded.records = False
    np.testing.assert_array_equal(losses(plain, 12), wanted)
    assert not plain.recorded._graphs


@pytest.mark.gpu
def test_training_steps_never_wait_for_the_gpu() -> None:
    stack = Stack(members(HYPER, Variant("arelu", direction="bigru")), data("cuda"))
    for _ in range(6):  # compiles and records
        stack.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(6):
            stack.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_member_that_diverges_on_the_gpu_leaves_its_companions_alone() -> None:
    calm = members(HYPER, Variant("identity"))
    wild = dataclasses.replace(
        calm[1], hyper=dataclasses.replace(HYPER, learning_rate=1e30, clip_norm=None)
    )
    results = train_stack([calm[0], wild, calm[2]], data("cuda"))
    assert [result.outcome for result in results] == ["ok", "diverged", "ok"]
    alone = train_stack([calm[0]], data("cuda"))[0]
    np.testing.assert_array_equal(results[0].logits["last"], alone.logits["last"])


@pytest.mark.gpu
def test_result_of_the_gpu_names_device_kernel_and_precision() -> None:
    with products("high"):
        result = train_stack(members(SMALL, Variant()), data("cuda"), TrainingSettings())[0]
    identity = result.identity
    assert identity.device == torch.cuda.get_device_name()
    assert identity.kernel.startswith("gpu (tf32, triton ")
    assert identity.precision == "tf32"
    assert result.peak_memory_bytes > 1 << 20
