"""A machine that can be used: its devices, and the engine that trains on them."""

from collections.abc import Iterable

import torch

from activations.errors import InputError
from activations.kernels.precision import Precision, precision_called
from bench.data.members import Member
from bench.training.train import TrainingSettings
from studies.execution.devices import check_precision, check_sizes, choose_devices
from studies.execution.engines import Engine
from studies.execution.local import ThisMachine
from studies.execution.machine import Machine
from studies.execution.ray_cluster import check_ray
from studies.execution.ray_engine import RayEngine
from studies.kinds import ComputedOn, kinds_here
from studies.material import StoredFeatures


class Trainers:
    """A machine that can be used. devices: of this machine; none where Ray has them.

    precision: of products. kinds: what results would be computed on; None where Ray decides.
    """

    def __init__(self, machine: Machine) -> None:
        """Raises InputError for an engine, device or precision that cannot be used."""
        self._machine = machine
        if machine.engine not in ("local", "ray"):
            raise InputError(f"no engine '{machine.engine}'; --engine takes local or ray")
        if machine.engine == "ray":
            check_ray(machine.address)
            if machine.device not in ("auto", "cpu", "cuda"):
                raise InputError(
                    f"--device {machine.device}: on a Ray cluster it is auto, cpu or cuda; Ray "
                    "gives each worker its GPU"
                )
            gpus = machine.worker_gpus or 1
            if gpus > 1 and gpus != round(gpus):
                raise InputError(f"--worker-gpus {gpus:g}: a part of one GPU, or whole ones")
            self.devices: tuple[torch.device, ...] = ()
            self.precision: Precision = precision_called(machine.precision)
            self.kinds: set[ComputedOn] | None = None
            if machine.device == "cpu":
                if self.precision != "ieee":
                    raise InputError(
                        f"--precision {machine.precision} is for GPUs on a Ray cluster, whose "
                        "processors may differ: leave the option out"
                    )
                self.kinds = {ComputedOn("cpu", self.precision)}
            return
        if machine.address or machine.worker_cpus or machine.worker_gpus:
            raise InputError("--address, --worker-cpus and --worker-gpus belong to --engine ray")
        self.devices = choose_devices(machine.device)
        self.precision = check_precision(machine.precision, self.devices)
        self.kinds = kinds_here(self.devices, self.precision)

    def __str__(self) -> str:
        return ", ".join(map(str, self.devices)) or "Ray"

    def check_sizes(self, members: Iterable[Member]) -> None:
        """Raise InputError where the precision gains nothing to members of their sizes here."""
        check_sizes(self.precision, self.devices, members)

    @property
    def gpus(self) -> bool:
        """Whether GPUs of this machine are among them."""
        return any(device.type == "cuda" for device in self.devices)

    @property
    def compiles_here(self) -> bool:
        """Whether kernels are compiled on this machine's CPU."""
        return any(device.type == "cpu" for device in self.devices)

    def engine(self, source: StoredFeatures, settings: TrainingSettings) -> Engine:
        """What trains: devices of this machine, or workers on Ray."""
        if not self.devices:
            machine = self._machine
            return RayEngine(
                source.carried(),
                settings,
                device=machine.device,
                address=machine.address,
                cpus=machine.worker_cpus,
                gpus=machine.worker_gpus,
            )
        return ThisMachine(source, settings, self.devices)
