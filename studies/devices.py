"""Which devices train, how precisely they multiply, and what results were computed on.

- All GPUs that torch sees are used; CUDA_VISIBLE_DEVICES, which schedulers of clusters set, says
  which these are.
- Precision is a property of a machine's run like its device: it is recorded with every result and
  does not make another member of it. Results of several kinds in one study are told of.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from activations.errors import InputError
from activations.kernels.gpu_tiles import PRECISIONS
from bench.results import MemberResult

NAMES = "auto, cpu or cuda, or one GPU as in cuda:1"


@dataclass(frozen=True, order=True)
class Kind:
    """What computed a result: the device's name ("cpu" or a GPU's) and the products' precision."""

    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}"


def choose_devices(name: str) -> tuple[torch.device, ...]:
    """The devices for `auto`, `cpu`, `cuda` (all GPUs) or `cuda:N`.

    Raises InputError for one that is not here.
    """
    kind, colon, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdigit())):
        raise InputError(f"no device '{name}'; --device takes {NAMES}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not gpus):
        return (torch.device("cpu"),)
    if not gpus:
        raise InputError(
            f"--device {name}: torch sees no CUDA device. See gateswap doctor, or use --device cpu"
        )
    if colon and int(number) >= gpus:
        raise InputError(
            f"--device {name}: torch sees {gpus} CUDA device{'s' if gpus > 1 else ''}, counted "
            "from cuda:0; CUDA_VISIBLE_DEVICES may hide others"
        )
    numbers = [int(number)] if colon else range(gpus)
    return tuple(torch.device("cuda", each) for each in numbers)


def set_precision(name: str, devices: Sequence[torch.device]) -> None:
    """Let this process multiply matrices as `ieee` (float32), `tf32` or `bf16`.

    Raises InputError for another name, and for less than float32 where a CPU trains.
    """
    if name not in PRECISIONS:
        raise InputError(f"no precision '{name}'; --precision takes {', '.join(PRECISIONS)}")
    if name != "ieee" and any(device.type == "cpu" for device in devices):
        raise InputError(
            f"--precision {name} is for GPUs, and training would run on the CPU, which computes in "
            "float32: leave the option out"
        )
    torch.set_float32_matmul_precision(PRECISIONS[name])


def kinds_here(devices: Iterable[torch.device], precision: str) -> set[Kind]:
    """What results would be computed on that are trained on these devices now."""
    names = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu" for device in devices
    )
    return {Kind(name, precision) for name in names}


def kinds_of(results: Iterable[MemberResult]) -> Counter[Kind]:
    """What results were computed on, and how many on each."""
    return Counter(
        Kind(str(result.identity["device"]), _precision(str(result.identity["precision"])))
        for result in results
    )


def mixture(study: str, before: Mapping[Kind, int], now: Collection[Kind]) -> str:
    """What to know of a study that goes on with other kinds than its results have; "" for nothing.

    before: numbers of results of each kind.
    """
    if all(kind in now for kind in before):
        return ""
    had = "; ".join(f"{kind} ({number})" for kind, number in before.items())
    return (
        f"study {study} has results computed on {had}, and goes on with "
        f"{'; '.join(map(str, sorted(now)))}. Results of several kinds in one study cannot be "
        "compared to their last digits; to keep to one kind, give this run another name=…"
    )


def _precision(recorded: str) -> str:
    """The option's name of a recorded precision: "float32, products 'high'" is tf32."""
    for name, of_torch in PRECISIONS.items():
        if repr(of_torch) in recorded:
            return name
    return "ieee" if recorded == "float32" else recorded
