"""The pool: its workers stay, nothing that they had sent is lost, and they end with their parent.

What it has in common with other engines is tested in test_conformance.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from bench.training.identity import Origin
from bench.training.train import TrainingSettings, train_stack
from studies.execution.engines import NamedStack
from studies.execution.pool import SECONDS_TO_END, Pool
from tests.bench import tiny
from tests.studies.execution.training_cases import (
    LONG,
    Interfering,
    Noted,
    TinySource,
    assert_equal,
    members,
    stack_of,
)

CPUS = [torch.device("cpu")] * 2
needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")


def new_pool() -> Pool:
    return Pool(TinySource(), TrainingSettings(origin=Origin(study="tiny")), CPUS)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = new_pool()
    yield made
    made.close()


def test_workers_stay_for_later_stacks_and_share_one_that_is_alone(pool: Pool) -> None:
    stacks = [stack_of(members(3, name)) for name in ("tanh", "relu", "elu")]
    noted = Noted()
    pool.train(stacks, noted)
    assert noted.places <= {"cpu (1)", "cpu (2)"}  # one may have done all before the other began

    again, workers = Noted(), [worker.process.pid for worker in pool._workers]
    pool.train([stack_of(members(2, "softsign"))], again)  # one for each, by those that are there
    assert sorted(len(done.stack) for done in again.done) == [1, 1]
    assert [worker.process.pid for worker in pool._workers] == workers


@needs_proc
def test_ctrl_c_ends_the_workers_at_once_and_loses_nothing_that_they_had_sent(pool: Pool) -> None:
    raised: list[float] = []
    workers: list[BaseProcess] = []

    def interrupt(place: str, stack: NamedStack) -> None:
        if stack[0][1].hyper.steps != LONG:
            return
        others = [worker for worker in pool._workers if worker.stack and worker.place != place]
        if others or noted.done:
            for other in others:  # it finishes, and nobody reads it
                wait_until(lambda other=other: other.pipe.poll() and _sleeps(other.process.pid))
            workers.extend(worker.process for worker in pool._workers)
            raised.append(time.monotonic())
            signal.raise_signal(signal.SIGINT)

    short = stack_of(members(2, "relu", steps=12, evaluate_every=6))
    noted = Interfering(interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.train([stack_of(members(1, "tanh", steps=LONG, evaluate_every=LONG)), short], noted)
    assert time.monotonic() - raised[0] < SECONDS_TO_END  # what one may take that was not killed
    assert pool._workers == []
    assert {worker.exitcode for worker in workers} == {-signal.SIGKILL}
    assert_equal(noted.results, short, train_stack([member for _, member in short], tiny.data()))


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def _sleeps(process: int | None) -> bool:
    """Whether it has nothing to do for a while: it waits for what is sent to it."""
    for _ in range(10):
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            return False
        time.sleep(0.02)
    return True


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


@needs_proc
def test_workers_end_when_their_parent_is_killed() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        workers = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    wait_until(lambda: not any(_runs(worker) for worker in workers))


def _runs(process: int) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
