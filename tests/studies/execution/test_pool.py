"""The pool: workers compute what this process would have, and no end of a process hangs another."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from activations import register
from bench.training.identity import Origin
from bench.training.train import StackProgress, TrainingSettings, train_stack
from studies.execution.engines import NamedStack
from studies.execution.pool import Pool
from studies.material import StoredFeatures
from tests.bench import tiny
from tests.studies.execution.training_cases import (
    Noted,
    TinySource,
    assert_equal,
    members,
    stack_of,
)

CPUS = [torch.device("cpu")] * 2
LONG = 1_000_000  # steps: nobody waits for their end


def new_pool() -> Pool:
    return Pool(TinySource(), TrainingSettings(origin=Origin(study="tiny")), CPUS)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = new_pool()
    yield made
    made.close()


class Interfering(Noted):
    """Does something to the workers when progress is reported to it."""

    def __init__(self, act: Callable[[str, NamedStack], None]) -> None:
        super().__init__()
        self._act = act

    def progress(self, place: str, stack: NamedStack, progress: StackProgress) -> None:
        super().progress(place, stack, progress)
        self._act(place, stack)


def worker_at(pool: Pool, place: str) -> int:
    """The process that trains there."""
    (found,) = (worker.process.pid for worker in pool._workers if worker.place == place)
    assert found is not None
    return found


def test_workers_compute_what_this_process_would_have_bit_for_bit(pool: Pool) -> None:
    stacks = [stack_of(members(3, name)) for name in ("tanh", "relu", "elu")]
    noted = Noted()
    pool.train(stacks, noted)
    for stack in stacks:
        own = train_stack([member for _, member in stack], tiny.data())
        assert_equal(noted.results, stack, own)
    assert noted.places <= {"cpu (1)", "cpu (2)"}  # one may have done all before the other began
    assert {result.identity.study for result in noted.results.values()} == {"tiny"}

    again, workers = Noted(), [worker.process.pid for worker in pool._workers]
    pool.train([stack_of(members(2, "softsign"))], again)  # one for each, by those that are there
    assert sorted(len(done.stack) for done in again.done) == [1, 1]
    assert [worker.process.pid for worker in pool._workers] == workers


def test_workers_train_an_activation_that_only_this_process_has_registered(pool: Pool) -> None:
    name = "known_to_the_parent_only"
    register("x*sigmoid(a*x); a=1.5", name=name)
    stack = stack_of(members(1, name))
    noted = Noted()
    pool.train([stack], noted)
    assert [done.error for done in noted.done] == [""]
    assert_equal(noted.results, stack, train_stack([member for _, member in stack], tiny.data()))
    (result,) = noted.results.values()
    assert result.parameters["current.candidate"].shape[2] == 1


def test_the_stack_of_a_killed_worker_is_trained_by_another(pool: Pool) -> None:
    killed: list[str] = []

    def kill_one(place: str, stack: NamedStack) -> None:
        if not killed:
            killed.append(place)
            os.kill(worker_at(pool, place), signal.SIGKILL)

    # long enough to be killed in the middle
    stacks = [
        stack_of(members(2, name, steps=400, evaluate_every=200))
        for name in ("tanh", "relu", "elu")
    ]
    noted = Interfering(kill_one)
    pool.train(stacks, noted)
    assert len(killed) == 1
    assert noted.said == [
        f"warning: the worker on {killed[0]} was killed (SIGKILL); another one takes its stack"
    ]
    assert [done.error for done in noted.done] == [""] * 3
    for stack in stacks:
        own = train_stack([member for _, member in stack], tiny.data())
        assert_equal(noted.results, stack, own)


def test_a_stack_that_ends_every_worker_is_reported_and_so_is_what_nobody_trains(
    pool: Pool,
) -> None:
    def kill(place: str, stack: NamedStack) -> None:
        if stack[0][1].variant.activation.name == "relu":
            os.kill(worker_at(pool, place), signal.SIGKILL)

    stacks = [
        stack_of(members(2, "relu", steps=LONG, evaluate_every=LONG)),
        stack_of(members(2, "tanh")),
    ]
    noted = Interfering(kill)
    pool.train(stacks, noted)
    (error,) = (done.error for done in noted.done if done.stack == stacks[0])
    assert "training relu · gru (folds S0 S1; seeds 0 1) failed: the worker on cpu" in error
    assert "was killed (SIGKILL)" in error
    # trained before or beside it, or named: nobody was left
    assert {key for done in noted.done for key, _ in done.stack} == {
        key for stack in stacks for key, _ in stack
    }

    after = Noted()
    pool.train([stack_of(members(2, "elu"))], after)  # with new workers
    assert len(after.results) == 2


def test_ctrl_c_ends_the_workers_at_once_and_loses_nothing_that_they_had_sent(pool: Pool) -> None:
    def interrupt(place: str, stack: NamedStack) -> None:
        both = all(worker.stack for worker in pool._workers)
        if stack[0][1].hyper.steps == LONG and (both or noted.done):
            time.sleep(4)  # in which the other one finishes, and nobody reads it
            signal.raise_signal(signal.SIGINT)

    short = stack_of(members(2, "relu", steps=100, evaluate_every=50))
    noted = Interfering(interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.train([stack_of(members(1, "tanh", steps=LONG, evaluate_every=LONG)), short], noted)
    began = time.monotonic()
    assert_equal(noted.results, short, train_stack([member for _, member in short], tiny.data()))
    assert pool._workers == []
    assert time.monotonic() - began < 5


def test_a_worker_whose_data_cannot_be_read_says_why(tmp_path: Path) -> None:
    source = StoredFeatures(tmp_path / "nowhere", tiny.data().examples, ())
    noted = Noted()
    Pool(source, TrainingSettings(), CPUS[:1]).train([stack_of(members(2))], noted)
    assert sum(len(done.stack) for done in noted.done) == 2
    for done in noted.done:
        assert "cannot go on (InputError: " in done.error
        assert "nowhere is not a feature store" in done.error


ORPHANS = f"""
import sys
from tests.studies.execution import test_pool as t

def tell(place, stack):
    told.add(place)
    if len(told) == 2:
        print(*(worker.process.pid for worker in pool._workers), flush=True)
        told.clear()

told = set()
pool = t.new_pool()
settings = dict(steps={LONG}, evaluate_every={LONG})
stacks = [t.stack_of(t.members(1, name, **settings)) for name in ("tanh", "relu")]
pool.train(stacks, t.Interfering(tell))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_workers_end_when_their_parent_is_killed() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        workers = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    until = time.monotonic() + 20
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
