"""What a Ray actor runs: the worker of a pool, with queues in place of its pipe.

- A stack's messages come home as the items of a generator, which Ray streams as they are made, from
  any node and in their order.
- An actor's class is imported before its arguments, which bring torch with them: what has to be
  said before torch is imported is said here, and nothing here imports it.
"""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from activations.kernels.cpu.threads import wait_asleep

if TYPE_CHECKING:
    from activations.kernels.precision import Precision
    from bench.training.train import TrainingSettings
    from studies.execution.worker import Message
    from studies.material import DataSource

wait_asleep()


def versions() -> dict[str, str]:
    """What two machines must have in common whose results belong to one study."""
    return {name: metadata.version(name) for name in ("gateswap", "torch")}


@dataclass(frozen=True)
class Whereabouts:
    """Where a worker is: its machine, Ray's name of the node, its process, the GPUs it may see.

    gpus: CUDA_VISIBLE_DEVICES as Ray set it: "" without a GPU.
    """

    host: str
    node: str
    process: int
    gpus: str


class _Line:
    """A worker's two queues: what it is given and what it says."""

    def __init__(self) -> None:
        self.given: SimpleQueue[Any] = SimpleQueue()
        self.said: SimpleQueue[Message] = SimpleQueue()

    def send(self, message: "Message", /) -> None:
        """Say something."""
        self.said.put(message)

    def recv(self) -> Any:
        """What is given next, once it is."""
        return self.given.get()


class RayWorker:
    """Trains stacks on what Ray grants it: a GPU or a share of one (share > 0), or CPU threads."""

    def __init__(
        self,
        source: "DataSource",
        settings: "TrainingSettings",
        *,
        share: float,
        threads: int,
        precision: "Precision",
    ) -> None:
        import torch

        from studies.execution.worker import Job, work

        self._line = _Line()
        if share and not torch.cuda.is_available():
            granted = f"Ray granted it {share:g} GPU (CUDA_VISIBLE_DEVICES={_visible_gpus()})"
            self._line.said.put(("failed", f"{granted}, and torch sees none there"))
            return
        # Ray lets this process see the GPU that it was granted, and no other
        device = torch.device("cuda", 0) if share else torch.device("cpu")
        own = None if share else _share_of_memory(threads)
        if 0 < share < 1:
            torch.cuda.set_per_process_memory_fraction(share, device)
            own = int(share * torch.cuda.get_device_properties(device).total_memory)
        job = Job(source, settings, device, "", precision, threads, own)
        threading.Thread(target=work, args=(self._line, job), daemon=True).start()

    def begin(self) -> "Iterator[Message]":
        """Where this is and what is installed there; then what is said until it is ready."""
        ray: Any = import_module("ray")  # has types where it is installed
        node = ray.get_runtime_context().get_node_id()
        where = Whereabouts(socket.gethostname(), node, os.getpid(), _visible_gpus())
        yield "here", where, versions()
        yield from self._until_ready()

    def train(self, given: Any) -> "Iterator[Message]":
        """Train a stack, given with its members' states; what is said until it is ready again."""
        self._line.given.put(given)
        yield from self._until_ready()

    def _until_ready(self) -> "Iterator[Message]":
        while True:
            message = self._line.said.get()
            yield message
            if message[0] in ("ready", "failed"):
                return


def _visible_gpus() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")


def _share_of_memory(cpus: int) -> int | None:
    """Bytes of this node's memory that go with so many of its CPUs; None where Ray has no figures.

    Other workers may be on the same node, and each would count on all that is free.
    """
    ray: Any = import_module("ray")  # has types where it is installed
    node = ray.get_runtime_context().get_node_id()
    nodes: Any = ray.nodes  # has no types
    for each in nodes():
        resources = each["Resources"]
        if each["NodeID"] == node and resources.get("CPU") and resources.get("memory"):
            return int(resources["memory"] * cpus / resources["CPU"])
    return None
