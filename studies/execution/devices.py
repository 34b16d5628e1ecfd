"""Which devices train, and how precisely they multiply.

- All GPUs that torch sees are used; CUDA_VISIBLE_DEVICES, which schedulers of clusters set, says
  which these are.
"""

from collections.abc import Iterable, Sequence

import torch

from activations.errors import InputError
from activations.kernels.cpu import bfloat16, calibration
from activations.kernels.precision import Precision, precision_called
from activations.wording import counted
from bench.data.members import Member

_REFUSED = (
    "--precision bf16: training would run on this machine's CPU, and {}: leave the option out, "
    "which computes in float32"
)
NAMES = "auto, cpu or cuda, or one GPU as in cuda:1"


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
            f"--device {name}: torch sees {counted(gpus, 'CUDA device')}, counted "
            "from cuda:0; CUDA_VISIBLE_DEVICES may hide others"
        )
    numbers = [int(number)] if colon else range(gpus)
    return tuple(torch.device("cuda", each) for each in numbers)


def check_precision(name: str, devices: Sequence[torch.device]) -> Precision:
    """The precision of that name, if these devices can multiply at it.

    Raises InputError for a name that is not ieee (float32), tf32 or bf16, and for less than
    float32 where a CPU trains that lacks it.
    """
    precision = precision_called(name)
    if precision == "ieee" or all(device.type != "cpu" for device in devices):
        return precision
    if precision == "tf32":
        raise InputError(
            "--precision tf32 is for GPUs, and training would run on the CPU, which computes in "
            "float32: leave the option out"
        )
    if reason := bfloat16.lacking():
        raise InputError(_REFUSED.format(reason))
    return precision


def check_sizes(
    precision: Precision, devices: Sequence[torch.device], members: Iterable[Member]
) -> None:
    """Raise InputError where a CPU would train a member to which this precision gains nothing."""
    if precision == "bf16" and any(device.type == "cpu" for device in devices):
        for hidden in sorted({member.hyper.hidden_size for member in members}):
            if reason := calibration.refusal(hidden):
                raise InputError(_REFUSED.format(reason))
