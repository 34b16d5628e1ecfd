"""Devices and precision: what is asked for is what is taken, or the remedy is told."""

from contextlib import closing
from dataclasses import replace

import pytest
import torch

from activations.errors import InputError
from activations.kernels.cpu import bfloat16, calibration
from activations.kernels.cpu.compiler import find_compiler
from activations.kernels.precision import at_precision, precision
from bench.training.train import TrainingSettings, train_stack
from studies.completion import study_status
from studies.execution.devices import check_precision, check_sizes, choose_devices
from studies.execution.machine import Machine
from studies.execution.pool import Pool
from studies.kinds import ComputedOn, kinds_here, kinds_of, mixture
from studies.plan import Plan
from studies.result_files import ResultFolder
from studies.runner import run_study
from studies.spec import StudySpec
from studies.terminal.display import TerminalDisplay
from studies.workspace import StudyFolder, Workspace
from tests.bench import tiny
from tests.studies.conftest import MakeResult
from tests.studies.execution.training_cases import (
    Noted,
    TinySource,
    assert_equal,
    members,
    stack_of,
)

CPU = torch.device("cpu")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("name", "devices"),
    [
        ("auto", ["cuda:0", "cuda:1"]),
        ("cuda", ["cuda:0", "cuda:1"]),
        ("cuda:1", ["cuda:1"]),
        ("cpu", ["cpu"]),
    ],
)
def test_all_gpus_train_or_the_one_that_is_named(name: str, devices: list[str]) -> None:
    assert [str(device) for device in choose_devices(name)] == devices


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_beyond_the_last_is_reported() -> None:
    with pytest.raises(InputError, match=r"cuda:2: torch sees 2 CUDA devices, .* cuda:0"):
        choose_devices("cuda:2")


@pytest.mark.usefixtures("no_gpu")
def test_a_device_that_is_not_here_is_told_with_the_remedy() -> None:
    assert choose_devices("auto") == (CPU,)
    for name in ("cuda", "cuda:0"):
        with pytest.raises(InputError, match="use --device cpu"):
            choose_devices(name)


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:x", "cpu:0", ""])
def test_a_device_that_does_not_exist_is_told_with_those_that_do(name: str) -> None:
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        choose_devices(name)


def test_less_than_float32_is_for_gpus_and_for_processors_that_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_precision("tf32", [torch.device("cuda", 0)])
    check_precision("bf16", [torch.device("cuda", 0)])
    check_precision("ieee", [CPU])
    with pytest.raises(InputError, match="--precision tf32 is for GPUs"):
        check_precision("tf32", [CPU])
    mine = find_compiler()
    monkeypatch.setattr(bfloat16, "find_compiler", lambda: replace(mine, bfloat16=False))
    with pytest.raises(InputError, match=r"no AVX512_BF16 instructions .*leave the option out"):
        check_precision("bf16", [CPU])
    monkeypatch.setattr(bfloat16, "find_compiler", lambda: replace(mine, bfloat16=True))
    assert check_precision("bf16", [CPU]) == "bf16"
    with pytest.raises(InputError, match="there are ieee, tf32, bf16"):
        check_precision("fp8", [CPU])


def test_a_size_that_gains_nothing_is_told_and_one_that_gains_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GATESWAP_BF16", raising=False)
    mine = find_compiler()
    monkeypatch.setattr(bfloat16, "find_compiler", lambda: replace(mine, bfloat16=True))
    monkeypatch.setattr(calibration, "speedup", lambda hidden: hidden / 16)
    small, large = members(1, hidden_size=8), members(2, hidden_size=32)
    check_sizes("bf16", [CPU], large)
    check_sizes("ieee", [CPU], small)
    check_sizes("bf16", [torch.device("cuda", 0)], small)
    with pytest.raises(InputError, match=r"its GRUs of 8 units are 0\.50 times as fast"):
        check_sizes("bf16", [CPU], [*small, *large])


def test_workers_multiply_as_their_parent_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESWAP_BF16", "portable")
    given, noted = members(2, steps=2), Noted()
    with at_precision("bf16"), closing(Pool(TinySource(), TrainingSettings(), [CPU] * 2)) as pool:
        pool.train([stack_of(given)], noted)
        here = train_stack(given, TinySource().build(CPU))
    assert kinds_of(noted.results.values()) == {ComputedOn("cpu", "bf16"): 2}
    assert_equal(noted.results, stack_of(given), here)


def test_torchs_own_products_on_a_cpu_stay_float32s() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    for name in ("ieee", "tf32", "bf16"):
        with at_precision(name):
            assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_the_precision_in_a_result_is_that_which_computed_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (member,) = members(1, steps=1)
    monkeypatch.delenv("GATESWAP_BF16", raising=False)
    here = "ieee" if calibration.refusal(member.hyper.hidden_size) else "bf16"
    found: list[ComputedOn] = []
    for name, where in (("ieee", ""), ("tf32", ""), ("bf16", ""), ("bf16", "portable")):
        monkeypatch.setenv("GATESWAP_BF16", where)
        with at_precision(name):
            (result,) = train_stack([member], tiny.data())
        found += kinds_of([result])
        short = result.identity.precision == "bf16"
        assert result.identity.kernel.startswith("cpu bf16 (" if short else "cpu (")
    assert precision() == "ieee"
    assert found == [ComputedOn("cpu", name) for name in ("ieee", "ieee", here, "bf16")]
    assert kinds_here([CPU, CPU], "ieee") == {ComputedOn("cpu", "ieee")}


def test_a_study_that_goes_on_with_another_kind_is_told_of() -> None:
    cpu, h200, tf32 = (
        ComputedOn("cpu", "ieee"),
        ComputedOn("NVIDIA H200", "ieee"),
        ComputedOn("NVIDIA H200", "tf32"),
    )
    assert mixture("demo", {}, {cpu}) == ""
    assert mixture("demo", {h200: 3}, {h200}) == ""
    for now in (cpu, tf32):
        said = mixture("demo", {h200: 3}, {now})
        assert f"computed on NVIDIA H200, ieee (3), and goes on with {now}" in said
        assert "name=" in said


def test_the_status_of_a_study_says_what_its_results_were_computed_on(
    finished: StudyFolder, plan: Plan, make_result: MakeResult
) -> None:
    key, member = next(iter(plan.members.items()))
    result = make_result(member)
    identity = replace(result.identity, device="NVIDIA H200", precision="tf32")
    ResultFolder(finished.results).write(key, replace(result, identity=identity))
    status = study_status("demo", plan.members, finished)
    assert status.kinds == {ComputedOn("NVIDIA H200", "tf32"): 1, ComputedOn("cpu", "ieee"): 7}
    assert {"device": "cpu", "precision": "ieee", "members": 7} in status.as_dict()["kinds"]


def test_a_precision_that_the_cpu_lacks_is_refused_before_anything_is_written(
    spec: StudySpec, workspace: Workspace
) -> None:
    with pytest.raises(InputError, match="computes in float32: leave the option out"):
        run_study(
            spec,
            workspace,
            machine=Machine(device="cpu", precision="tf32"),
            display=TerminalDisplay(),
        )
    assert not workspace.root.exists()
