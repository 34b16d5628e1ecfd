"""On what results were computed: kinds of device and precision, and what mixing them means.

- Precision is a property of a machine's run like its device: it is recorded with every result and
  does not make another member of it. A study with results of several kinds says so.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activations.kernels.precision import Precision
from bench.training.glance import Glance
from bench.training.results import MemberResult

if TYPE_CHECKING:  # what results were computed on is known without it
    import torch


@dataclass(frozen=True, order=True)
class ComputedOn:
    """What computed a result: the device's name ("cpu" or a GPU's) and the products' precision."""

    device: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}"


def kinds_here(devices: "Iterable[torch.device]", precision: Precision) -> set[ComputedOn]:
    """What results would be computed on that are trained on these devices now."""
    import torch

    names = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu" for device in devices
    )
    return {ComputedOn(name, precision) for name in names}


def kinds_of(results: Iterable[MemberResult | Glance]) -> Counter[ComputedOn]:
    """What results were computed on, and how many on each."""
    return Counter(
        ComputedOn(result.identity.device, result.identity.precision) for result in results
    )


def mixture(study: str, before: Mapping[ComputedOn, int], now: Collection[ComputedOn]) -> str:
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
