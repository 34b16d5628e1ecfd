"""Results that no one trained, and the plan they belong to: studies are tested without training.

And a Ray cluster of several nodes on this machine, for tests that carry the marker `services`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.members import Member
from bench.data.protocol import Protocol
from bench.training.identity import CorpusIdentity, Identity
from bench.training.results import CURVES, SELECTIONS, MemberResult
from studies.loading import load
from studies.plan import Data, Plan, make_plan
from studies.progress import Silent
from studies.result_files import ResultFolder
from studies.spec import StudySpec
from studies.workspace import StudyFolder, Workspace

CORPUS = CorpusIdentity(name="demo", fingerprint="f" * 32, synthetic=True)
DATA = Data(corpus=CORPUS, features="0123456789abcdef", folds=("Ses01", "Ses02"))

# a study that trains in a second: ten members of two variants
TINY = """
name: tiny
corpus: {format: demo, seed: 1, dialogues_per_session: 1}
protocol: {classes: [neu, sad], merge: {hap: neu, exc: neu, ang: sad, fru: sad}}
features: {kind: logmel}
model: {hidden_size: 4, attention_size: 3, dense_size: 5}
training: {steps: 24, batch_size: 8, learning_rate: 1.0e-2, evaluate_every: 6}
variants: {activation: [tanh, relu], direction: gru}
stack: {max_members: 2}
"""

MakeResult = Callable[..., MemberResult]


class Said(Silent):
    """A display that notes what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "runs")


@pytest.fixture
def spec(workspace: Workspace) -> StudySpec:
    """Two variants; with DATA's two folds and two seeds, eight members in two trials."""
    changes = ["variants.activation=[tanh,arelu]", "variants.direction=gru", "seeds=2"]
    return load("demo", changes, workspace=workspace)


@pytest.fixture
def plan(spec: StudySpec) -> Plan:
    return make_plan(spec, DATA)


@pytest.fixture
def make_result() -> MakeResult:
    return fake_result


@pytest.fixture
def finished(plan: Plan, workspace: Workspace) -> StudyFolder:
    """The folder of a study all of whose members are finished."""
    return keep(plan, workspace, len(plan.members))


def keep(plan: Plan, workspace: Workspace, finished: int) -> StudyFolder:
    """Write a study's plan and specification, and made-up results of its first members."""
    folder = workspace.study(plan.spec.name)
    plan.record.write(folder)
    folder.spec.write_text(plan.spec.as_yaml())
    results = ResultFolder(folder.results)
    for number, (key, member) in enumerate(list(plan.members.items())[:finished]):
        results.write(key, fake_result(member, number))
    return folder


def fake_result(member: Member, number: int = 0, **changes: Any) -> MemberResult:
    """A record of four test utterances in two classes; `number` makes its scores its own."""
    random = np.random.default_rng(number)
    curves = {name: random.random(3) for name in CURVES} | {"step": np.array([10.0, 20.0, 30.0])}
    fields: dict[str, Any] = {
        "identity": Identity(
            member=member,
            study="demo",
            corpus=CORPUS,
            features=DATA.features,
            protocol=Protocol(),
            code_version="0.1.0 (abc)",
            kernel="reference (torch 2.13.0)",
            device="cpu",
            precision="ieee",
            torch="2.13.0",
            host="here",
        ),
        "outcome": "ok",
        "diverged_at": None,
        "curves": curves,
        "ids": np.array(["a", "b", "c", "d"]),
        "truths": np.array([0, 1, 1, 0]),
        "speakers": np.array(["1F", "1M", "1F", "1M"]),
        "dialogs": np.array(["x", "x", "y", "y"]),
        "lengths": np.array([3, 4, 5, 6]),
        "improvised": np.array([True, False, True, False]),
        "logits": {name: random.random((4, 2)).astype(np.float32) for name in SELECTIONS},
        "selected_step": {"dev": 20, "oracle": 30, "last": 30},
        "dev_truths": np.array([1, 0]),
        "classes": ("ang", "hap"),
        "train_size": 10,
        "test_size": 4,
        "parameters": {},
        "diagnostics": {},
        "wall_seconds": 2.0,
        "stack_members": 2,
        "peak_memory_bytes": 1 << 20,
        "parameter_count": 99,
    }
    return MemberResult(**(fields | changes))


# a node that ended is noticed in seconds, not in half a minute
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 3,
}
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head that trains nothing and two nodes of one CPU."""
    from studies.execution.ray_cluster import quiet

    quiet()
    from ray._private import worker
    from ray.cluster_utils import Cluster

    head = NODE | {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            made.add_node(**NODE)
        yield made
    finally:
        worker.global_worker.node = None  # a driver that has left is remembered, and keeps the head
        made.shutdown()
