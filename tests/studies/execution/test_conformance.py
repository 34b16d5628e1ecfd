"""What every engine promises, whatever it trains on: the same cases for each of them.

- An engine of another kind is added to ENGINES and has to pass them all.
- Ray's run on a cluster of two nodes, and carry the marker `services`.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from activations import register
from bench.data.batches import TrainingData
from bench.training import memory
from bench.training.identity import Origin
from bench.training.train import StackProgress, TrainingSettings, train_stack
from studies.execution.engines import Engine, NamedStack, OneDevice
from studies.execution.pool import Pool
from studies.execution.ray_engine import RayEngine
from studies.material import DataSource, StoredFeatures
from tests.bench import tiny
from tests.studies.execution.training_cases import (
    LONG,
    Interfering,
    Noted,
    TinySource,
    assert_equal,
    large_data,
    members,
    stack_of,
)

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(origin=Origin(study="tiny"), keep="last")
OFTEN = replace(SETTINGS, checkpoint_seconds=1e-9)  # a checkpoint after every step
SHARED = pytest.param("pool"), pytest.param("ray", marks=pytest.mark.services)
ENGINES = pytest.param("one device"), *SHARED

Make = Callable[[DataSource, TrainingSettings], Engine]


@pytest.fixture(scope="module")
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes engines of a kind; those of workers have two. They are closed at the end."""
    made: list[Engine] = []

    def make_one(source: DataSource, settings: TrainingSettings) -> Engine:
        match request.param:
            case "one device":
                engine: Engine = OneDevice(source.build(CPU), settings)
            case "pool":
                engine = Pool(source, settings, [CPU] * 2)
            case "ray":
                cluster: Any = request.getfixturevalue("cluster")
                engine = RayEngine(source, settings, address=cluster.address, cpus=1)
        made.append(engine)
        return engine

    yield make_one
    for engine in reversed(made):
        engine.close()


@pytest.fixture(scope="module")
def engine(make: Make) -> Engine:
    return make(TinySource(), SETTINGS)


@pytest.fixture(scope="module")
def careful(make: Make, engine: Engine) -> Iterator[Engine]:
    """An engine that hands home a checkpoint after every step; alone, for there are two CPUs."""
    engine.close()
    made = make(TinySource(), OFTEN)
    yield made
    made.close()


every_engine = pytest.mark.parametrize("make", ENGINES, indirect=True, scope="module")
engines_of_workers = pytest.mark.parametrize("make", SHARED, indirect=True, scope="module")


def own(stack: NamedStack, data: TrainingData | None = None) -> list[Any]:
    """What a stack gives where nobody disturbs it."""
    return train_stack([member for _, member in stack], data or tiny.data())


def process_at(engine: Any, place: str) -> int:
    """The process that trains there."""
    (worker,) = (worker for worker in engine._workers if worker.place == place)
    process = worker.where.process if isinstance(engine, RayEngine) else worker.process.pid
    assert isinstance(process, int)
    return process


@every_engine
def test_results_are_those_of_this_process_bit_for_bit(engine: Engine) -> None:
    stacks = [stack_of(members(3, name)) for name in ("tanh", "relu", "elu")]
    noted = Noted()
    engine.train(stacks, noted)
    for stack in stacks:
        assert_equal(noted.results, stack, own(stack))
    assert {result.identity.study for result in noted.results.values()} == {"tiny"}
    assert set(noted.networks) == set(noted.results)


@every_engine
def test_an_engine_trains_once_more_and_nothing_where_there_is_nothing(engine: Engine) -> None:
    noted = Noted()
    engine.train([], noted)
    assert noted == Noted()
    stack = stack_of(members(2, "softsign"))
    engine.train([stack], noted)
    assert_equal(noted.results, stack, own(stack))


@every_engine
def test_an_activation_that_only_this_process_has_registered_is_trained(engine: Engine) -> None:
    name = "known_to_this_process_only"
    register("x*sigmoid(a*x); a=1.5", name=name)
    stack = stack_of(members(1, name))
    noted = Noted()
    engine.train([stack], noted)
    assert [done.error for done in noted.done] == [""]
    assert_equal(noted.results, stack, own(stack))
    (result,) = noted.results.values()
    assert result.parameters["current.candidate"].shape[2] == 1


@every_engine
def test_a_stack_that_fails_names_its_members_and_the_others_go_on(engine: Engine) -> None:
    broken = [(f"{key}?", replace(one, fold="none")) for key, one in stack_of(members(2, "relu"))]
    stacks = [broken, *(stack_of(members(2, name)) for name in ("tanh", "elu"))]
    noted = Noted()
    engine.train(stacks, noted)
    failed = [done for done in noted.done if done.error]
    assert {key for done in failed for key, _ in done.stack} == {key for key, _ in broken}
    for done in failed:
        assert done.error.startswith("training relu · gru (folds none; seeds ")
        assert "failed: KeyError: 'none'" in done.error
        assert not done.results
    for stack in stacks[1:]:
        assert_equal(noted.results, stack, own(stack))


@every_engine
def test_progress_is_told_of_every_stack(engine: Engine) -> None:
    seen: dict[str, list[StackProgress]] = {}

    class Watching(Noted):
        def progress(self, place: str, stack: NamedStack, progress: StackProgress) -> None:
            seen.setdefault(stack[0][0], []).append(progress)

    stacks = [stack_of(members(1, name)) for name in ("tanh", "relu")]
    engine.train(stacks, Watching())
    assert set(seen) == {stack[0][0] for stack in stacks}
    for told in seen.values():
        steps = [progress.step for progress in told]
        assert steps == sorted(steps)
        assert 0 < steps[-1] <= tiny.SMALL.steps


@engines_of_workers
def test_the_stack_of_a_killed_worker_is_trained_by_another(engine: Engine) -> None:
    killed: list[str] = []

    def kill_one(place: str, stack: NamedStack) -> None:
        if not killed:
            killed.append(place)
            os.kill(process_at(engine, place), signal.SIGKILL)

    # long enough to be killed in the middle
    stacks = [
        stack_of(members(2, name, steps=150, evaluate_every=75)) for name in ("tanh", "relu", "elu")
    ]
    noted = Interfering(kill_one)
    engine.train(stacks, noted)
    (said,) = noted.warnings
    assert said.startswith(f"warning: the worker on {killed[0]} was killed")
    assert said.endswith("; another one takes its stack")
    assert {done.error for done in noted.done} == {""}
    for stack in stacks:
        assert_equal(noted.results, stack, own(stack))


@engines_of_workers
def test_a_stack_that_ends_every_worker_is_reported(engine: Engine) -> None:
    def kill(place: str, stack: NamedStack) -> None:
        if stack[0][1].variant.activation.name == "relu":
            os.kill(process_at(engine, place), signal.SIGKILL)

    deadly = stack_of(members(2, "relu", steps=LONG, evaluate_every=LONG))
    stacks = [deadly, stack_of(members(2, "tanh"))]
    noted = Interfering(kill)
    engine.train(stacks, noted)
    (error,) = (done.error for done in noted.done if done.stack == deadly)
    assert "training relu · gru (folds S0 S1; seeds 0 1) failed: the worker on " in error
    assert "was killed" in error
    # trained before or beside it, or named where nobody was left
    ended = [key for done in noted.done for key, _ in done.stack]
    assert sorted(ended) == sorted(key for stack in stacks for key, _ in stack)

    after = Noted()
    engine.train([stack_of(members(2, "elu"))], after)  # with new workers
    assert len(after.results) == 2


@engines_of_workers
def test_a_worker_whose_data_cannot_be_read_says_why(
    make: Make, engine: Engine, tmp_path: Path
) -> None:
    engine.close()  # there are two CPUs
    source = StoredFeatures(tmp_path / "nowhere", tiny.data().examples, ())
    noted = Noted()
    blind = make(source, SETTINGS)
    blind.train([stack_of(members(2))], noted)
    assert sum(len(done.stack) for done in noted.done) == 2
    for done in noted.done:
        assert "cannot go on (InputError: " in done.error
        assert "nowhere is not a feature store" in done.error
    blind.close()


@every_engine
def test_an_interrupted_stack_goes_on_from_its_checkpoint_to_the_same_bits(careful: Engine) -> None:
    def interrupt(_place: str, stack: NamedStack) -> None:
        if any(state.step >= 6 for state in noted.kept.values()):
            signal.raise_signal(signal.SIGINT)

    stack = stack_of(members(2, steps=60, evaluate_every=30))
    noted = Interfering(interrupt)
    with pytest.raises(KeyboardInterrupt):
        careful.train([stack], noted)
    assert not noted.results
    steps = {key: state.step for key, state in noted.kept.items()}
    assert steps
    assert all(step < 60 for step in steps.values())

    again = Noted(kept=dict(noted.kept))
    careful.train([stack], again)
    assert any(f"goes on after step {max(steps.values())} of 60" in text for text in again.said)
    assert_equal(again.results, stack, own(stack))


@engines_of_workers
def test_a_killed_worker_s_members_go_on_from_their_checkpoints_to_the_same_bits(
    careful: Engine,
) -> None:
    killed: list[str] = []

    def kill_one(place: str, stack: NamedStack) -> None:
        steps = [noted.kept[key].step for key, _ in stack if key in noted.kept]
        if not killed and max(steps, default=0) >= 6:  # of this worker's, not of the other's
            killed.append(place)
            os.kill(process_at(careful, place), signal.SIGKILL)

    stacks = [stack_of(members(2, name, steps=120, evaluate_every=60)) for name in ("tanh", "elu")]
    noted = Interfering(kill_one)
    careful.train(stacks, noted)
    assert len(killed) == 1
    assert any("goes on after step" in text for text in noted.said)
    for stack in stacks:
        assert_equal(noted.results, stack, own(stack))


@every_engine
def test_ctrl_c_loses_nothing_that_was_finished(careful: Engine) -> None:
    def interrupt(_place: str, stack: NamedStack) -> None:
        if stack[0][1].hyper.steps == LONG and noted.done:
            signal.raise_signal(signal.SIGINT)

    short = stack_of(members(2, "relu"))
    endless = stack_of(members(1, "tanh", steps=LONG, evaluate_every=LONG))
    noted = Interfering(interrupt)
    with pytest.raises(KeyboardInterrupt):
        careful.train([short, endless], noted)
    assert_equal(noted.results, short, own(short))


@dataclass(frozen=True)
class Cramped:
    """large_data in a process that may take only so many bytes more than it has."""

    budget: int

    def build(self, device: torch.device) -> TrainingData:
        import resource

        data = large_data()
        first = stack_of(members(1, "tanh", hidden_size=4))
        OneDevice(data, SETTINGS, free=lambda: None).train([first], Noted())  # loads and compiles
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + self.budget
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return data


@engines_of_workers
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
def test_a_stack_that_memory_has_no_room_for_is_cut_and_comes_out_the_same(
    make: Make, careful: Engine
) -> None:
    careful.close()  # there are two CPUs
    data = large_data()
    stacks = [stack_of(members(6, name, hidden_size=64)) for name in ("tanh", "elu")]
    together = [member for _, member in stacks[0]]
    needed = tiny.stack_bytes(together, data, SETTINGS, recorded=False)
    cramped = make(Cramped(round(0.6 * needed / memory.CPU_SHARE)), SETTINGS)
    noted = Noted()
    cramped.train(stacks, noted)
    cramped.close()
    assert not any(done.error for done in noted.done)
    assert any("gru · 6 members: 3 at once, as 0." in text for text in noted.said)
    assert max(len(done.stack) for done in noted.done) == 3
    assert_equal(noted.results, stacks[0], own(stacks[0], data))
