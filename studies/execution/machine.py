"""What trains a study, as the user says it: engine, devices, precision."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What trains.

    device: auto, cpu, cuda (all GPUs) or cuda:N. precision: ieee, tf32 or bf16. engine: local, or
    ray, whose cluster has the address ("": RAY_ADDRESS, or a Ray of this machine) and gives each
    worker so many CPUs and GPUs, or a part of one (None: see ray_engine).
    """

    device: str = "auto"
    precision: str = "ieee"
    engine: str = "local"
    address: str = ""
    worker_cpus: int | None = None
    worker_gpus: float | None = None

    @property
    def is_certain(self) -> bool:
        """Whether this is there on every machine, so that nothing needs to be imported to know."""
        return self in (AUTOMATIC, Machine(device="cpu"))


AUTOMATIC = Machine()
