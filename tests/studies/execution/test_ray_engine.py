"""Ray: how many workers find room, what is refused before anything starts, and nodes that end."""

import re
import subprocess
import sys
from typing import Any

import pytest

from activations.errors import InputError
from bench.training.train import TrainingSettings, train_stack
from studies.execution.engines import NamedStack
from studies.execution.machine import Machine
from studies.execution.ray_engine import RayEngine, WorkerSize
from studies.execution.trainers import Trainers
from tests.bench import tiny
from tests.server import free_port
from tests.studies.conftest import NODE
from tests.studies.execution.training_cases import (
    Interfering,
    Noted,
    TinySource,
    assert_equal,
    members,
    stack_of,
)


@pytest.mark.parametrize(
    ("cpus", "gpus", "node", "room"),
    [
        (4, 0.0, {"CPU": 10.0}, 2),
        (4, 0.0, {"CPU": 3.0}, 0),
        (1, 1.0, {"CPU": 8.0, "GPU": 4.0}, 4),
        (1, 0.5, {"CPU": 8.0, "GPU": 2.0}, 4),
        (1, 0.4, {"CPU": 8.0, "GPU": 2.0}, 4),  # two on each: no worker has parts of two GPUs
        (1, 2.0, {"CPU": 8.0, "GPU": 5.0}, 2),
        (4, 0.25, {"CPU": 8.0, "GPU": 2.0}, 2),
        (1, 1.0, {"CPU": 8.0}, 0),
        (1, 0.0, {}, 0),  # a head that lends nothing
    ],
)
def test_as_many_workers_as_a_node_has_room_for(
    cpus: int, gpus: float, node: dict[str, float], room: int
) -> None:
    assert WorkerSize(cpus=cpus, gpus=gpus).room(node) == room


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Machine(engine="slurm"), "no engine 'slurm'; --engine takes local or ray"),
        (Machine(address="auto"), "--address, --worker-cpus and --worker-gpus belong to"),
        (Machine(worker_gpus=0.5), "belong to --engine ray"),
        (Machine(engine="ray", device="cuda:1"), "--device cuda:1: on a Ray cluster it is auto"),
        (Machine(engine="ray", device="cpu", precision="tf32"), "--precision tf32 is for GPUs"),
        (Machine(engine="ray", worker_gpus=1.5), "--worker-gpus 1.5: a part of one GPU, or whole"),
        (Machine(engine="ray", address="ray://head:10001"), "run the command on a node"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(machine: Machine, said: str) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with pytest.raises(InputError, match=said):
        Trainers(machine)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as Python finds what is not installed
    with pytest.raises(InputError, match=r"--engine ray needs .*: pip install 'gateswap\[ray\]'"):
        Trainers(Machine(engine="ray"))


@pytest.mark.services
def test_the_stack_of_a_lost_node_is_trained_by_one_that_joins(cluster: Any) -> None:
    engine = RayEngine(TinySource(), TrainingSettings(), address=cluster.address, cpus=1)
    lost: list[str] = []

    def lose_one(place: str, stack: NamedStack) -> None:
        if not lost:
            (worker,) = (worker for worker in engine._workers if worker.place == place)
            assert worker.where is not None
            (node,) = (n for n in cluster.list_all_nodes() if n.node_id == worker.where.node)
            # another one may be there, too, or on its way
            gone = (None, worker.where.node)
            there = [w.place for w in engine._workers if getattr(w.where, "node", None) in gone]
            lost.extend([place, *(other for other in there if other != place)])
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(**NODE)

    # long enough to be lost in the middle
    stacks = [
        stack_of(members(1, name, steps=600, evaluate_every=300))
        for name in ("tanh", "relu", "elu")
    ]
    noted = Interfering(lose_one)
    try:
        engine.train(stacks, noted)
    finally:
        engine.close()
    # a killed node's worker may be missed before the node is
    ends = ("was lost with its node", "was killed or has crashed")
    of_first, *of_others = sorted(noted.warnings, key=lambda said: lost[0] not in said)
    takes = "; another one takes its stack"
    assert of_first in [f"warning: the worker on {lost[0]} {end}{takes}" for end in ends]
    allowed = {f"warning: the worker on {each} {end}" for each in lost[1:] for end in ends}
    assert {said.removesuffix(takes) for said in of_others} <= allowed, noted.warnings
    assert sorted(key for done in noted.done for key, _ in done.stack) == sorted(
        key for stack in stacks for key, _ in stack
    )
    for stack in stacks:
        assert_equal(
            noted.results, stack, train_stack([member for _, member in stack], tiny.data())
        )


@pytest.mark.services
def test_a_worker_that_no_node_can_hold_is_refused(cluster: Any) -> None:
    engine = RayEngine(TinySource(), TrainingSettings(), address=cluster.address, cpus=2)
    try:
        largest = "can hold a worker of 2 CPUs: the largest has 1 CPU and 0 GPUs"
        with pytest.raises(InputError, match=largest):
            engine.train([stack_of(members(1))], Noted())
    finally:
        engine.close()


@pytest.mark.services
def test_workers_of_half_a_gpu_share_one_and_say_where_torch_sees_none(cluster: Any) -> None:
    # Ray counts two GPUs because it is told so; torch, which looks, finds none on this machine
    node = cluster.add_node(**NODE | {"num_cpus": 4, "num_gpus": 2})
    engine = RayEngine(TinySource(), TrainingSettings(), address=cluster.address, gpus=0.5)
    stacks, noted = (
        [stack_of(members(1, name)) for name in ("tanh", "relu", "elu", "swish")],
        Noted(),
    )
    try:
        engine._connect()
        engine._dealer.queue(stacks)
        engine._hire()
        hired = list(engine._workers)
        for worker in hired:
            engine._receive(worker, noted)  # where it is, before any of them goes on
        places = [worker.where for worker in hired if worker.where is not None]
        assert {where.node for where in places} == {node.node_id}
        assert len({where.process for where in places}) == 4
        assert sorted(where.gpus for where in places) == ["0", "0", "1", "1"]
        engine.train(stacks, noted)
    finally:
        engine.close()
        cluster.remove_node(node)
    assert len(noted.warnings) == 4
    for said in noted.warnings:
        assert re.search(
            r"cannot go on \(Ray granted it 0\.5 GPU \(CUDA_VISIBLE_DEVICES=[01]\)", said
        )
    assert not noted.results
    errors = [done.error for done in noted.done]
    assert len(errors) == 4
    assert all("torch sees none there), and no other is left" in error for error in errors)


# in a process of its own: one that is connected to a cluster stays so
UNANSWERED = """
from activations.errors import GateswapError
from bench.training.train import TrainingSettings
from studies.execution.ray_engine import RayEngine
from tests.studies.execution.training_cases import Noted, TinySource, members, stack_of

try:
    engine = RayEngine(TinySource(), TrainingSettings(), address="{address}")
    engine.train([stack_of(members(1))], Noted())
except GateswapError as error:
    print(error)
"""


@pytest.mark.services
def test_a_cluster_that_does_not_answer_is_told_at_once() -> None:
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", UNANSWERED.format(address=address)]
    # by itself Ray waits for minutes
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.match(f"no Ray cluster answers at {address} .*refused", done.stdout)


# in a process of its own: one that was connected to a cluster without tokens never asks for any
OWN_RAY = """
import signal

import ray
from ray._raylet import AuthenticationMode, get_authentication_mode

from bench.training.train import TrainingSettings, train_stack
from studies.execution.ray_engine import RayEngine
from tests.bench import tiny
from tests.studies.execution.training_cases import (
    Noted, TinySource, assert_equal, members, stack_of
)

before = signal.getsignal(signal.SIGTERM)
engine = RayEngine(TinySource(), TrainingSettings(), device="cpu")
stack, noted = stack_of(members(2)), Noted()
engine.train([stack], noted)
assert signal.getsignal(signal.SIGTERM) is before
# nobody else can send it code
assert get_authentication_mode() == AuthenticationMode.TOKEN
engine.close()
assert_equal(noted.results, stack, train_stack([member for _, member in stack], tiny.data()))
assert not ray.is_initialized()
print("all of it")
"""


@pytest.mark.services
def test_without_an_address_a_ray_of_this_machine_is_started_and_ended() -> None:
    command = [sys.executable, "-c", OWN_RAY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("all of it")
