"""Engines: trouble with one stack is named and stops no other; memory that runs out splits it."""

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from activations.errors import GateswapError
from bench.data.members import Hyperparameters, Member, Variant
from bench.speed.step_time import iemocap_like_data
from bench.training import memory, out_of_memory
from bench.training.results import MemberResult
from bench.training.train import TrainingSettings, train_stack
from studies.execution import engines
from studies.execution.engines import Finished, OneDevice
from tests.bench import tiny
from tests.programs import Program
from tests.studies.conftest import fake_result
from tests.studies.execution.training_cases import (
    Noted,
    assert_equal,
    large_data,
    members,
    stack_of,
)

STACKS = [
    [(f"{name}{fold}", Member(Variant(name), fold, 3)) for fold in ("S0", "S1")]
    for name in ("tanh", "relu", "elu")
]
needs_a_limit = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GateswapError("the kernel cannot run here"), "failed: the kernel cannot run here"),
        (RuntimeError("shapes differ\nat line 3"), "failed: RuntimeError: shapes differ"),
        (KeyError("a mistake"), "failed: KeyError: 'a mistake'"),
    ],
)
def test_a_stack_that_fails_names_its_members_and_the_others_go_on(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(members: Sequence[Member], *_args: Any, **_kwargs: Any) -> list[Any]:
        if members[0].variant.activation.name == "relu":
            raise error
        return [fake_result(member) for member in members]

    monkeypatch.setattr(engines, "train_stack", train)
    noted = Noted()
    OneDevice(tiny.data(), TrainingSettings(), free=lambda: None).train(STACKS, noted)
    assert [bool(done.error) for done in noted.done] == [False, True, False]
    assert list(noted.done[2].results) == ["eluS0", "eluS1"]
    assert noted.done[1].results == {}
    assert "training relu · gru (folds S0 S1; seeds 3)" in noted.done[1].error
    assert said in noted.done[1].error
    assert "\n" not in noted.done[1].error


def test_a_stack_is_cut_to_what_is_free_and_comes_out_the_same() -> None:
    data, settings = tiny.data(), TrainingSettings()
    stack = stack_of(members(7))
    each = tiny.stack_bytes(stack[0][1:], data, settings, recorded=False)
    noted = Noted()
    engine = OneDevice(data, settings, free=lambda: round(3.5 * each / memory.CPU_SHARE))
    engine.train([stack, stack_of(members(3, "relu"))], noted)
    assert [len(done.stack) for done in noted.done] == [3, 2, 2, 3]
    (said,) = noted.said
    assert said.startswith("tanh · gru · 7 members: 3 at once, as 0.0 GiB are free")
    assert_equal(noted.results, stack, train_stack([member for _, member in stack], data))


def test_garbage_is_not_looked_for_in_what_was_there_before_until_training_ends() -> None:
    frozen: list[int] = []

    class Counting(Noted):
        def finished(self, place: str, done: Finished) -> None:
            frozen.append(gc.get_freeze_count())

    gc.unfreeze()
    try:
        engine = OneDevice(tiny.data(), TrainingSettings())
        engine.train([stack_of(members(1)), stack_of(members(1, "relu"))], Counting())
        assert len(frozen) == 2
        assert min(frozen) > 10_000  # torch's modules alone
        engine.close()
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()  # as tests/conftest.py had it


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from bench.training import memory
from bench.training import out_of_memory
from bench.speed.step_time import iemocap_like_data
from bench.training.train import TrainingSettings
from studies.execution.engines import OneDevice
from tests.studies.execution.training_cases import Noted, large_data, members, stack_of

torch.set_num_threads(1)

def address_space():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()

count, budget, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
ask = None if sys.argv[4] == "asks" else lambda: None
engine = OneDevice(large_data(), TrainingSettings(), free=ask)
engine.train([stack_of(members(1, "tanh", hidden_size=4))], Noted())  # loads and compiles
out_of_memory.release(torch.device("cpu"))
limit = address_space() + budget
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
noted = Noted()
stacks = [stack_of(members(count, name, hidden_size=64)) for name in ("tanh", "relu")]
engine.train(stacks, noted)
print(*noted.said, sep="\\n")
for done in noted.done:
    print(len(done.stack), done.error)
for key, result in noted.results.items():
    (folder / key).write_bytes(result.to_bytes())
"""


def limited(count: int, budget: float, folder: Path, *, asks: bool = False) -> list[str]:
    """Train two stacks in so many bytes beyond what a process has; what was said.

    asks: whether the engine asks what is free, or runs into the limit.
    """
    arguments = [str(count), str(round(budget)), str(folder), "asks" if asks else "does not"]
    done = Program(LIMITED, *arguments).end(250)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_a_limit
def test_a_stack_that_runs_out_of_memory_is_halved_and_comes_out_the_same(tmp_path: Path) -> None:
    data, settings = large_data(), TrainingSettings()
    together = [member for _, member in stack_of(members(6, "tanh", hidden_size=64))]
    needed = tiny.stack_bytes(together, data, settings, recorded=False)
    said = limited(6, 0.6 * needed, tmp_path)
    assert said[0] == "stack of 6 did not fit in memory: two of 3 and 3"
    assert sum("stack of 6" in line for line in said) == 1  # the next one is cut before it fails
    assert not any("failed" in line for line in said)
    for name in ("tanh", "relu"):
        stack = stack_of(members(6, name, hidden_size=64))
        found = {key: MemberResult.load(tmp_path / key) for key, _ in stack}
        assert_equal(found, stack, train_stack([member for _, member in stack], data))


@needs_a_limit
def test_a_stack_is_cut_before_it_meets_a_limit_and_comes_out_the_same(tmp_path: Path) -> None:
    data, settings = large_data(), TrainingSettings()
    together = [member for _, member in stack_of(members(6, "tanh", hidden_size=64))]
    needed = tiny.stack_bytes(together, data, settings, recorded=False)
    said = limited(6, 0.6 * needed / memory.CPU_SHARE, tmp_path, asks=True)
    assert said[0].startswith("tanh · gru · 6 members: 3 at once, as 0.")
    assert not any("did not fit" in line or "failed" in line for line in said)
    stack = stack_of(members(6, "tanh", hidden_size=64))
    found = {key: MemberResult.load(tmp_path / key) for key, _ in stack}
    assert_equal(found, stack, train_stack([member for _, member in stack], data))


@needs_a_limit
def test_a_member_that_does_not_fit_alone_is_named_with_the_remedy(tmp_path: Path) -> None:
    *_, last = limited(2, 20 << 20, tmp_path)
    assert "training relu · gru (folds S1; seeds 1) failed" in last
    assert "does not fit in memory alone: lower model.hidden_size" in last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_stack_that_runs_out_on_a_gpu_is_halved_and_comes_out_the_same() -> None:
    data = iemocap_like_data(1000, device="cuda")
    hyper = Hyperparameters(hidden_size=64, batch_size=32, steps=40, evaluate_every=20)
    fold = next(iter(data.folds))
    stack = stack_of([Member(Variant("tanh"), fold, seed, hyper) for seed in range(8)])
    out_of_memory.release(data.device)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    own = train_stack([member for _, member in stack], data)
    peak = torch.cuda.max_memory_allocated()
    out_of_memory.release(data.device)
    total = torch.cuda.get_device_properties(data.device).total_memory
    torch.cuda.set_per_process_memory_fraction((before + 0.6 * (peak - before)) / total)
    noted = Noted()
    try:
        OneDevice(data, TrainingSettings(), free=lambda: None).train([stack], noted)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert noted.said[0] == "stack of 8 did not fit in memory: two of 4 and 4"
    for (key, _), whole in zip(stack, own, strict=True):
        for name, logits in whole.logits.items():
            np.testing.assert_array_equal(noted.results[key].logits[name], logits)
