"""Engine on a Ray cluster: a laptop's cores, several machines, or what a scheduler grants.

- A worker is a Ray actor of fixed size: CPUs, or GPUs or a part of one. There are as many as the
  nodes of now have room for: nodes may be lost and may join.
- Workers compute and send home; this process writes. Features go through Ray's object store once,
  so nodes need no common file system.
- Ray ends a job's actors with its driver, however that ended.
- Ctrl-C is let in only while waiting, as in a pool.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from activations.errors import GateswapError, InputError
from activations.kernels.precision import precision
from activations.wording import counted
from bench.training.train import TrainingSettings
from studies.execution.dealing import Dealer, Worker, hear_the_last
from studies.execution.engines import NamedStack, Reports
from studies.execution.interrupts import uninterrupted
from studies.execution.ray_cluster import handlers_kept, start, the_package
from studies.execution.ray_worker import RayWorker, Whereabouts, versions
from studies.execution.sharing import spread
from studies.material import DataSource

CPUS = 4  # of a worker without a GPU, where nodes have as many
LOST = "was lost with its node"
SECONDS_TO_WAIT = 1.0  # for a message, before looking at the nodes again
SECONDS_BETWEEN_LOOKS = 5.0  # at the nodes
SECONDS_WITHOUT_ROOM = 60.0  # before what waits is given up: a node may be on its way
SECONDS_BEFORE_SAYING = 15.0  # that no worker has begun yet


@dataclass(frozen=True, kw_only=True)
class WorkerSize:
    """What a worker takes of a node: CPUs, and GPUs or a part of one (0: it trains on the CPU)."""

    cpus: int
    gpus: float

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU{'s' * (self.gpus > 1)}" if self.gpus else ""
        return f"{counted(self.cpus, 'CPU')}{gpus}"

    def room(self, resources: dict[str, float]) -> int:
        """How many such workers a node with these resources can hold."""
        fitting = math.floor(resources.get("CPU", 0) / self.cpus)
        if self.gpus:
            gpus = resources.get("GPU", 0)
            # a GPU is not put together from parts of several
            each = (
                math.floor(gpus) * math.floor(1 / self.gpus) if self.gpus < 1 else gpus / self.gpus
            )
            fitting = min(fitting, math.floor(each))
        return fitting


@dataclass
class _Actor(Worker):
    """A Ray actor, and the generator of what it says now."""

    handle: Any = field(kw_only=True)
    words: Any = field(kw_only=True)
    begun: bool = False  # whether it was ever ready
    where: Whereabouts | None = None


class RayEngine:
    """Trains stacks on a Ray cluster.

    device: cuda, cpu, or auto: GPUs if the cluster has any. address: of a cluster, "auto" for the
    one that runs on this machine; "": RAY_ADDRESS, or a Ray of this process's own. cpus, gpus: of
    each worker; None: one GPU and one CPU, or as many of CPUS as every node has.
    """

    def __init__(
        self,
        source: DataSource,
        settings: TrainingSettings,
        *,
        device: str = "auto",
        address: str = "",
        cpus: int | None = None,
        gpus: float | None = None,
    ) -> None:
        self._source, self._settings = source, settings
        self._device, self._address, self._cpus, self._gpus = device, address, cpus, gpus
        self._size = WorkerSize(cpus=1, gpus=0.0)  # until it is connected
        self._connected = False  # by this engine, which then disconnects
        self._stored: Any = None
        self._workers: list[_Actor] = []
        self._dealer = Dealer()
        self._started = 0  # workers, ever
        self._unfit = 0  # workers that ended before they were ready
        self._last_end, self._saying = "", math.inf
        self._looked, self._room, self._had_room = -math.inf, 0, -math.inf

    def train(self, stacks: Sequence[NamedStack], reports: Reports) -> None:
        """Train the stacks, the longest first, each by the first worker that is free.

        Raises InputError for a cluster that is not there, has no such device, or has no node that
        could hold a worker.
        """
        self._connect()
        self._unfit, self._had_room = 0, time.monotonic()
        self._dealer.queue(spread(stacks, self._look(), evenly=not self._size.gpus))
        self._saying = time.monotonic() + SECONDS_BEFORE_SAYING
        try:
            while self._dealer.waiting or any(worker.stack for worker in self._workers):
                self._hire()
                self._deal(reports)
                self._say_if_idle(reports)
                self._give_up_without_workers(reports)
                for worker in self._waiting_for():
                    with uninterrupted():
                        self._receive(worker, reports)
        except BaseException:
            with uninterrupted():
                self._abandon(reports)
            raise

    def close(self) -> None:
        """End the workers, and a Ray that was started for them."""
        if not self._ray_is_up():
            self._workers = []
            return
        self._end_workers()
        if self._connected:
            import ray

            with handlers_kept():
                ray.shutdown()
            self._connected, self._stored = False, None

    def _connect(self) -> None:
        """Connect to the cluster, or start one, and choose the size of workers."""
        ray = the_package()
        if not ray.is_initialized():
            with handlers_kept():
                start(self._address)
            self._connected = True
        if self._stored is None:
            self._size = self._size_of_workers()
            self._stored = ray.put(self._source)

    def _size_of_workers(self) -> WorkerSize:
        nodes = list(_nodes())
        on_gpu = self._device != "cpu" and any(node.get("GPU", 0) for node in nodes)
        if self._device == "cuda" and not on_gpu:
            raise InputError("--device cuda: no node of the Ray cluster has a GPU")
        if not on_gpu and precision() != "ieee":
            raise InputError(
                "--precision is for GPUs, and the Ray cluster would train on CPUs: leave it out"
            )
        if self._gpus and not on_gpu:
            why = "with --device cpu" if self._device == "cpu" else "no node of the cluster has one"
            raise InputError(
                f"--worker-gpus {self._gpus:g}: no GPU trains ({why}); leave it out for CPUs"
            )
        if on_gpu:
            size = WorkerSize(cpus=self._cpus or 1, gpus=self._gpus or 1.0)
        else:
            least = min((int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1), default=1)
            size = WorkerSize(cpus=self._cpus or min(CPUS, least), gpus=0.0)
        if not any(size.room(node) for node in nodes):
            largest = max((node.get("CPU", 0) for node in nodes), default=0)
            gpus = max((node.get("GPU", 0) for node in nodes), default=0)
            raise InputError(
                f"no node of the Ray cluster can hold a worker of {size}: the largest has "
                f"{counted(int(largest), 'CPU')} and {counted(int(gpus), 'GPU')}. "
                "See --worker-cpus and --worker-gpus"
            )
        return size

    def _look(self) -> int:
        """How many workers the nodes can hold, as they were a moment ago."""
        now = time.monotonic()
        if now - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._room, self._looked = sum(self._size.room(node) for node in _nodes()), now
        if self._room:
            self._had_room = now
        return self._room

    def _hire(self) -> None:
        """Start as many workers as have something to do and would find room."""
        ray, size = the_package(), self._size
        busy = sum(bool(worker.stack) for worker in self._workers)
        wanted = min(self._look() - self._unfit, busy + self._dealer.waiting)
        for _ in range(wanted - len(self._workers)):
            self._started += 1
            # spread: two workers on one node share its memory and its kernels' caches
            options = {"num_cpus": size.cpus, "num_gpus": size.gpus, "max_restarts": 0}
            handle = (
                ray.remote(RayWorker)
                .options(scheduling_strategy="SPREAD", **options)
                .remote(
                    self._stored,
                    self._settings,
                    share=size.gpus,
                    threads=size.cpus,
                    precision=precision(),
                )
            )
            words = handle.begin.options(num_returns="streaming").remote()
            self._workers.append(_Actor(f"worker {self._started}", handle=handle, words=words))

    def _deal(self, reports: Reports) -> None:
        """Give waiting stacks to the workers that are ready."""
        for worker in self._workers:
            if stack := self._dealer.deal(worker):
                train = worker.handle.train.options(num_returns="streaming")
                worker.words = train.remote((stack, reports.states(stack)))

    def _waiting_for(self) -> list[_Actor]:
        """The workers that have said something or ended, after waiting for one for a while."""
        speaking = {worker.words: worker for worker in self._workers if not worker.ready}
        if not speaking:
            time.sleep(SECONDS_TO_WAIT)
            return []
        said, _ = the_package().wait(list(speaking), num_returns=1, timeout=SECONDS_TO_WAIT)
        return [speaking[words] for words in said]

    def _receive(self, worker: _Actor, reports: Reports) -> None:
        """Take in one message of a worker, or its end."""
        from ray.exceptions import RayError

        try:
            message = the_package().get(next(worker.words))
        except StopIteration:
            if worker.reason:
                self._lose(worker, worker.reason, reports)
            return
        except RayError as error:
            self._lose(worker, _how_it_ended(error), reports)
            return
        if message[0] == "here":
            _, worker.where, theirs = message
            worker.place = f"{worker.where.host} ({worker.place.rpartition(' ')[2]})"
            if differing := _differing(theirs, versions()):
                self._lose(worker, f"cannot be used: {differing}", reports)
            return
        worker.begun = worker.begun or message == ("ready",)
        self._dealer.hear(worker, message, reports)

    def _lose(self, worker: _Actor, how: str, reports: Reports) -> None:
        """Go on without a worker: there will be another one, if there is room for it."""
        self._workers.remove(worker)
        with contextlib.suppress(Exception):  # it is dead, or will be with this
            the_package().kill(worker.handle)
        self._looked = -math.inf
        self._last_end = f"the worker on {worker.place} {how}"
        if not worker.begun and how != LOST:
            self._unfit += 1
        # where all nodes are lost, one may be on its way
        others = bool(self._workers) or not self._look() or self._look() > self._unfit
        self._dealer.lose(worker, how, reports, others=others)

    def _say_if_idle(self, reports: Reports) -> None:
        """Say once what is being waited for, where no worker has begun yet."""
        if any(worker.begun for worker in self._workers):
            self._saying = math.inf
        elif time.monotonic() > self._saying:
            self._saying = math.inf
            reports.say(f"waiting for Ray to start workers of {self._size} each")

    def _give_up_without_workers(self, reports: Reports) -> None:
        """Report what waits as failed where nobody is left to train it, and nobody comes."""
        if self._workers or not self._dealer.waiting:
            return
        room = self._look()
        if room > self._unfit:
            return
        if room or time.monotonic() - self._had_room > SECONDS_WITHOUT_ROOM:
            why = self._last_end or f"no node of the Ray cluster has {self._size}"
            self._dealer.give_up("", f"{why}, and no other is left", reports)

    def _abandon(self, reports: Reports) -> None:
        """Keep what the workers had sent, and end them."""
        if self._ray_is_up():
            with contextlib.suppress(GateswapError):
                for worker in self._workers:
                    for message in _already_said(worker):
                        hear_the_last(worker, message, reports)
            self._end_workers()

    def _end_workers(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            with contextlib.suppress(Exception):  # some are dead
                the_package().kill(worker.handle)

    def _ray_is_up(self) -> bool:
        return self._stored is not None and bool(the_package().is_initialized())


def _nodes() -> Iterator[dict[str, float]]:
    """The resources of each node that is alive."""
    for node in the_package().nodes():
        if node["Alive"]:
            yield node["Resources"]


def _differing(theirs: dict[str, str], ours: dict[str, str]) -> str:
    return ", ".join(
        f"it has {name} {theirs[name]} and this machine {version}"
        for name, version in ours.items()
        if theirs[name] != version
    )


def _how_it_ended(error: Exception) -> str:
    """What Ray knows of a worker's end, in a few words."""
    from ray.exceptions import RayActorError

    said = str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if "node has died" in said or "node was terminated" in said:
        return LOST
    if isinstance(error, RayActorError) and "creation task" not in said:
        return "was killed or has crashed"
    return f"cannot go on ({lines[-1] if lines else type(error).__name__})"


def _already_said(worker: _Actor) -> Iterator[Any]:
    """What a worker had sent and nobody has read yet."""
    from ray.exceptions import RayError

    with contextlib.suppress(RayError, StopIteration):
        while not worker.ready and the_package().wait([worker.words], timeout=0)[0]:
            yield the_package().get(next(worker.words))
