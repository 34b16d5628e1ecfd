"""This machine: its one device in this process, or workers on its GPUs, or on shares of its CPU.

- Workers that were started stay for later stacks: what they cost is paid.
"""

from collections.abc import Sequence

import torch

from bench.data.batches import TrainingData
from bench.training import memory
from bench.training.train import TrainingSettings
from studies.execution.engines import Engine, NamedStack, OneDevice, Reports
from studies.execution.pool import Pool
from studies.execution.sharing import share
from studies.material import DataSource


class ThisMachine:
    """Trains stacks on devices of this machine; on a CPU with the threads that torch has."""

    def __init__(
        self, source: DataSource, settings: TrainingSettings, devices: Sequence[torch.device]
    ) -> None:
        self._source, self._settings = source, settings
        self._pool = Pool(source, settings, devices) if len(devices) > 1 else None
        self._device = devices[0]
        self._data: TrainingData | None = None
        self._alone: OneDevice | None = None

    def train(self, stacks: Sequence[NamedStack], reports: Reports) -> None:
        """Train the stacks by this process or by workers."""
        if self._pool is None and self._device.type == "cpu":
            self._share(stacks, reports)
        engine: Engine = self._pool or self._here()
        engine.train(stacks, reports)

    def close(self) -> None:
        """End the workers, if any were started, and what training changed in this process."""
        if self._pool is not None:
            self._pool.close()
        if self._alone is not None:
            self._alone.close()

    def _share(self, stacks: Sequence[NamedStack], reports: Reports) -> None:
        """Let workers train from now on, if that is faster for these stacks."""
        if self._data is None:
            self._data = self._source.build(self._device)
        sharing = share(
            stacks,
            self._data,
            self._settings,
            threads=torch.get_num_threads(),
            free=memory.free_bytes(self._device),
        )
        if sharing.workers > 1:
            devices = [self._device] * sharing.workers
            self._pool = Pool(self._source, self._settings, devices, memory=sharing.memory)
            reports.say(f"{sharing}, which is faster")

    def _here(self) -> OneDevice:
        if self._alone is None:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)  # where kernels are launched
            data = self._data if self._data is not None else self._source.build(self._device)
            self._alone = OneDevice(data, self._settings)
        return self._alone
