"""What the rest of a study will take: time and memory, before anything of it is trained.

- A few steps of its first stacks are really trained, on this machine as it is now, and forgotten.
- Variants of one direction and one size differ little but for their activation: a few are tried,
  and the others are expected to lie among them. The range says how far the tried ones, and their
  steps, differ.
- Nothing is written. Where features are not computed yet there is nothing to train on.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from activations.kernels.cpu.threads import on_threads, take_granted_threads
from activations.kernels.precision import at_precision
from bench.data.batches import TrainingData
from bench.data.members import Member
from bench.training import memory
from bench.training.rehearsal import Rehearsal, rehearse
from bench.training.train import TrainingSettings
from studies.execution.engines import members_at_once
from studies.execution.sharing import Sharing, share
from studies.execution.trainers import Trainers
from studies.material import Material, StoredFeatures
from studies.plan import Plan
from studies.result_files import ResultFolder
from studies.workspace import Workspace

TRIED = 3  # variants of those that have the same shapes


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One variant's missing members of one shape.

    low, seconds, high: of all of them, one stack after another; peak_bytes: of one stack. setting:
    what tells its shape from others of the study. at_once: members that train together. tried:
    whether steps of these very members were trained.
    """

    variant: str
    setting: Mapping[str, Any]
    members: int
    at_once: int
    low: float
    seconds: float
    high: float
    peak_bytes: int
    tried: bool


@dataclass(frozen=True)
class Forecast:
    """What is missing of a study, variant by variant; devices share the whole time.

    sharing: how stacks share a CPU, whose workers then are the devices.
    """

    variants: tuple[Expected, ...]
    devices: int = 1
    sharing: Sharing | None = None

    @property
    def seconds(self) -> tuple[float, float, float]:
        """Low, expected and high, of everything."""
        low, middle, high = (
            sum(getattr(each, name) for each in self.variants) / self.devices
            for name in ("low", "seconds", "high")
        )
        return low, middle, high


def forecast_study(
    plan: Plan,
    material: Material | None,
    workspace: Workspace,
    trainers: Trainers,
) -> Forecast | None:
    """What the missing members of a plan will take on devices of this machine; nothing is written.

    None where there is no material yet, or the workspace has no features of it.
    """
    devices = trainers.devices
    store = workspace.features / plan.data.features
    if material is None or not store.is_dir():
        return None
    source = StoredFeatures(store, material.examples, material.folds)
    finished = ResultFolder(workspace.study(plan.spec.name).results).hashes()
    trainers.check_sizes(plan.members.values())
    take_granted_threads()
    with at_precision(trainers.precision):
        return forecast(plan, finished, source.build(devices[0]), devices=len(devices))


def forecast(
    plan: Plan, finished: Collection[str], data: TrainingData, *, devices: int = 1
) -> Forecast:
    """Try a few stacks of what is missing. Raises as training does.

    devices: how many there are of the data's; a CPU counts as often as stacks train side by side.
    """
    settings, sharing = TrainingSettings(), None
    missing = [[(key, plan.members[key]) for key in s] for s in plan.missing(set(finished))]
    groups: dict[tuple[object, ...], list[list[Member]]] = {}
    for stack in missing:
        members = [member for _, member in stack]
        groups.setdefault(members[0].stack_group, []).append(members)
    threads = torch.get_num_threads()
    if data.device.type == "cpu":
        free = memory.free_bytes(data.device)
        sharing = share(missing, data, settings, threads=threads, free=free)
        devices, threads = sharing.workers, sharing.threads
    alike: dict[tuple[object, ...], list[list[list[Member]]]] = {}
    for stacks in groups.values():
        alike.setdefault(stacks[0][0].shape_group, []).append(stacks)
    varying = _varying([[m for stack in stacks for m in stack] for stacks in groups.values()])
    expected = {}
    for variants in alike.values():
        free = sharing.memory if sharing and devices > 1 else memory.free_bytes(data.device)
        with on_threads(threads):
            sizes = [members_at_once(stacks[0], data, settings, free) for stacks in variants]
            tried: dict[int, Rehearsal] = {}
            for place in _spread(len(variants)):
                tried[place] = rehearse(variants[place][0][: sizes[place]], data, settings)
        for place, stacks in enumerate(variants):
            found = [tried[place]] if place in tried else list(tried.values())
            first = stacks[0][0]
            setting = {name: getattr(first.hyper, name) for name in varying}
            expected[first.stack_group] = _expected(
                stacks, setting, sizes[place], found, data, settings, tried=place in tried
            )
    return Forecast(tuple(expected[group] for group in groups), devices, sharing)


def _varying(groups: Sequence[Sequence[Member]]) -> list[str]:
    """The settings that are one within each group and not the same in all."""
    names = groups[0][0].hyper.as_dict() if groups else {}
    values = {n: [{getattr(m.hyper, n) for m in group} for group in groups] for n in names}
    return [
        name
        for name, found in values.items()
        if all(len(own) == 1 for own in found) and len(set.union(*found)) > 1
    ]


def _spread(count: int) -> list[int]:
    """At most TRIED of so many places, the first and the last among them."""
    wanted = min(count, TRIED)
    return [round(k * (count - 1) / max(wanted - 1, 1)) for k in range(wanted)]


def _expected(
    stacks: Sequence[Sequence[Member]],
    setting: Mapping[str, Any],
    at_once: int,
    found: Sequence[Rehearsal],
    data: TrainingData,
    settings: TrainingSettings,
    *,
    tried: bool,
) -> Expected:
    members = [member for stack in stacks for member in stack]
    times = [rehearsal.seconds(members[0]) for rehearsal in found]
    recorded = data.device.type == "cuda"
    each = max(
        memory.MemberSizes.of(member, data, settings).bytes(recorded=recorded)
        for member in {member.fold: member for member in members}.values()
    )
    return Expected(
        variant=members[0].variant.label,
        setting=setting,
        members=len(members),
        at_once=at_once,
        low=len(members) * min(low for low, _, _ in times),
        seconds=len(members) * math.fsum(middle for _, middle, _ in times) / len(times),
        high=len(members) * max(high for _, _, high in times),
        peak_bytes=round(at_once * each) + memory.resident_bytes(data.device),
        tried=tried,
    )
