"""Small stacks that really train, and what their engine reports; for workers to import, too."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from bench.data.batches import TrainingData
from bench.data.members import Member, Variant
from bench.training.member_state import MemberState
from bench.training.results import MemberResult
from bench.training.saved_network import SavedNetwork
from bench.training.train import StackProgress
from studies.execution.engines import Finished, NamedStack, States
from tests.bench import tiny

LONG = 1_000_000  # steps: nobody waits for their end
# what may differ between two runs of one member: where and when it ran, not what came out
CIRCUMSTANCES = {"identity", "wall_seconds", "stack_members", "peak_memory_bytes"}


def members(count: int, activation: str = "tanh", **settings: int) -> list[Member]:
    """Members of one stack, folds taking turns."""
    hyper = dataclasses.replace(tiny.SMALL, **settings)  # type: ignore[arg-type]
    return [Member(Variant(activation), f"S{k % 3}", k, hyper) for k in range(count)]


def stack_of(members: Sequence[Member]) -> list[tuple[str, Member]]:
    """The members under names that stand in for their hashes."""
    return [(f"{member.variant.slug}-{member.fold}-{member.seed}", member) for member in members]


def large_data() -> TrainingData:
    """Data whose batches take megabytes."""
    return tiny.data(120, longest=200)


@dataclass(frozen=True)
class TinySource:
    """tiny.data, built where it is wanted."""

    examples: int = 36

    def build(self, device: torch.device) -> TrainingData:
        assert device.type == "cpu"
        return tiny.data(self.examples)


@dataclass
class Noted:
    """Reports as they came."""

    said: list[str] = field(default_factory=list)
    done: list[Finished] = field(default_factory=list)
    places: set[str] = field(default_factory=set)
    kept: dict[str, MemberState] = field(default_factory=dict)

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, place: str, stack: NamedStack, progress: StackProgress) -> None:
        self.places.add(place)

    def finished(self, place: str, done: Finished) -> None:
        self.places.add(place)
        self.done.append(done)

    def states(self, stack: NamedStack) -> States:
        return self.kept

    def checkpoint(self, place: str, states: States) -> None:
        self.kept.update(states)

    @property
    def networks(self) -> dict[str, SavedNetwork]:
        return {key: network for done in self.done for key, network in done.networks.items()}

    @property
    def warnings(self) -> list[str]:
        return [text for text in self.said if text.startswith("warning")]

    @property
    def results(self) -> dict[str, MemberResult]:
        return {key: result for done in self.done for key, result in done.results.items()}


class Interfering(Noted):
    """Does something when progress is reported to it."""

    def __init__(self, act: Callable[[str, NamedStack], None]) -> None:
        super().__init__()
        self._act = act

    def progress(self, place: str, stack: NamedStack, progress: StackProgress) -> None:
        super().progress(place, stack, progress)
        self._act(place, stack)


def assert_equal(
    found: Mapping[str, MemberResult], stack: NamedStack, expected: Sequence[MemberResult]
) -> None:
    """Every member of the stack was found as expected, bit for bit."""
    for (key, _), other in zip(stack, expected, strict=True):
        for name in (f.name for f in dataclasses.fields(MemberResult)):
            if name in CIRCUMSTANCES:
                continue
            a, b = getattr(found[key], name), getattr(other, name)
            pairs = [(a[k], b[k]) for k in a.keys() | b.keys()] if hasattr(a, "keys") else [(a, b)]
            for x, y in pairs:
                np.testing.assert_array_equal(x, y, strict=True, err_msg=name)
