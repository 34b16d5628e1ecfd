"""Devices and precision: what is asked for is what is taken, or the remedy is told."""

from dataclasses import replace

import pytest
import torch

from activations.errors import InputError
from activations.kernels.precision import at_precision, precision
from bench.training.train import train_stack
from studies.completion import study_status
from studies.execution.devices import check_precision, choose_devices
from studies.execution.machine import Machine
from studies.kinds import ComputedOn, kinds_here, kinds_of, mixture
from studies.plan import Plan
from studies.result_files import ResultFolder
from studies.runner import run_study
from studies.spec import StudySpec
from studies.terminal.display import TerminalDisplay
from studies.workspace import StudyFolder, Workspace
from tests.bench import tiny
from tests.studies.conftest import MakeResult
from tests.studies.execution.training_cases import members

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


def test_less_than_float32_is_for_gpus_only() -> None:
    check_precision("tf32", [torch.device("cuda", 0)])
    check_precision("ieee", [CPU])
    with pytest.raises(InputError, match="--precision bf16 is for GPUs"):
        check_precision("bf16", [CPU])
    with pytest.raises(InputError, match="there are ieee, tf32, bf16"):
        check_precision("fp8", [CPU])


def test_the_precision_in_a_result_is_recognised() -> None:
    (member,) = members(1, steps=1)
    found: list[ComputedOn] = []
    for name in ("ieee", "tf32", "bf16"):
        with at_precision(name):
            found += kinds_of(train_stack([member], tiny.data()))
    assert precision() == "ieee"
    assert found == [ComputedOn("cpu", name) for name in ("ieee", "tf32", "bf16")]
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
