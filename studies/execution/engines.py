"""Engines: where stacks are trained.

- An engine only computes: it takes members and reports results, and knows neither files nor plans.
- What goes wrong with one stack ends that stack and no other, and names its members.
- A member's result does not depend on its companions, so a stack that memory has no room for, or
  whose members were interrupted at different steps, is trained in parts.
"""

import gc
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from activations.errors import GateswapError
from bench.data.batches import TrainingData
from bench.data.members import Member
from bench.training import benefit, memory, out_of_memory
from bench.training.member_state import MemberState
from bench.training.results import MemberResult
from bench.training.saved_network import SavedNetwork
from bench.training.train import StackProgress, TrainingSettings, train_stack

NamedStack = Sequence[tuple[str, Member]]  # hash and member
States = Mapping[str, MemberState]  # by hash


@dataclass(frozen=True)
class Finished:
    """What became of one stack: results by hash, or why there are none.

    networks: what is kept of its members, by hash; none of those that diverged.
    """

    stack: NamedStack
    results: dict[str, MemberResult]
    error: str = ""
    networks: dict[str, SavedNetwork] = field(default_factory=dict)


class Reports(Protocol):
    """What an engine tells while it works; place: the device, where there are several."""

    def say(self, text: str) -> None:
        """Something the user should know, once."""

    def progress(self, place: str, stack: NamedStack, progress: StackProgress) -> None:
        """How far a stack is."""

    def finished(self, place: str, done: Finished) -> None:
        """A stack has ended: its results are the receiver's to keep."""

    def states(self, stack: NamedStack) -> States:
        """Where those of the members are that were interrupted."""

    def checkpoint(self, place: str, states: States) -> None:
        """Where the members of a stack are now: the receiver's to keep."""


class Engine(Protocol):
    """Trains stacks; may be asked several times."""

    def train(self, stacks: Sequence[NamedStack], reports: Reports) -> None:
        """Train the stacks, whole or in parts, and report each that has ended."""

    def close(self) -> None:
        """End whatever it started."""


class OneDevice:
    """Trains stacks one after another in this process, as many members at once as memory allows.

    free: returns the bytes of free memory, or None where they are not known.
    """

    def __init__(
        self,
        data: TrainingData,
        settings: TrainingSettings,
        *,
        place: str = "",
        free: Callable[[], int | None] | None = None,
    ) -> None:
        self._data, self._settings, self._place = data, settings, place
        self._free = free or (lambda: memory.free_bytes(data.device))
        self._most: dict[tuple[object, ...], int] = {}  # of those that need as much: how many fit
        self._announced: set[tuple[object, ...]] = set()  # shapes for which the user was informed
        self._froze = False

    def train(self, stacks: Sequence[NamedStack], reports: Reports) -> None:
        """Train the stacks in their order.

        Until `close` the garbage collector, which runs before each stack, does not look through
        what is there now, all modules among it: half a second in which nothing trains.
        """
        if not gc.get_freeze_count():
            gc.freeze()
            self._froze = True
        waiting = list(reversed(stacks))
        while waiting:
            stack = waiting.pop()
            states = reports.states(stack)
            parts = _by_step(stack, states)
            if len(parts) > 1:
                waiting += reversed(parts)
                continue
            try:
                most = self._fitting(stack, reports)
            except Exception as error:
                reports.finished(self._place, _failed(stack, error))
                continue
            if most < len(stack):
                waiting += reversed(_cut(stack, most))
                continue
            done = self._train(stack, reports, states)
            if done is None:
                out_of_memory.release(self._data.device)
                half = self._most[stack[0][1].shape_group] = -(-len(stack) // 2)
                waiting += reversed(_cut(stack, half))
                reports.say(
                    f"stack of {len(stack)} did not fit in memory: "
                    f"two of {half} and {len(stack) - half}"
                )
            else:
                reports.finished(self._place, done)

    def close(self) -> None:
        """Leave the garbage collector as it was."""
        if self._froze:
            gc.unfreeze()
            self._froze = False

    def _fitting(self, stack: NamedStack, reports: Reports) -> int:
        """How many of the stack's members to train at once: as pays, is free, and did not fail."""
        members = [member for _, member in stack]
        shape, free = members[0].shape_group, self._free()
        most = members_at_once(members, self._data, self._settings, None)
        most = min(self._most.get(shape, most), most)
        if free is None:
            return most
        fitting = members_at_once(members, self._data, self._settings, free)
        if fitting < most and shape not in self._announced:
            self._announced.add(shape)
            reports.say(
                f"{describe_stack(stack)}: {fitting} at once, as {free / 2**30:.1f} GiB are free"
            )
        return min(most, fitting)

    def _train(self, stack: NamedStack, reports: Reports, states: States) -> Finished | None:
        """Train one stack; None where several members ran out of memory together."""
        kept: list[SavedNetwork | None] = []
        hashes = [member_hash for member_hash, _ in stack]
        interrupted = [states[key] for key in hashes if key in states]
        if interrupted:
            step, steps = interrupted[0].step, stack[0][1].hyper.steps
            reports.say(f"{describe_stack(stack)}: goes on after step {step:,} of {steps:,}")

        def keep(now: Sequence[MemberState]) -> None:
            reports.checkpoint(self._place, dict(zip(hashes, now, strict=True)))

        try:
            results = train_stack(
                [member for _, member in stack],
                self._data,
                self._settings,
                on_progress=lambda progress: reports.progress(self._place, stack, progress),
                on_networks=kept.extend,
                states=interrupted,
                on_checkpoint=keep if self._settings.checkpoint_seconds > 0 else None,
            )
        except Exception as error:  # the compilers of kernels have their own
            if out_of_memory.ran_out(error) and len(stack) > 1:
                return None  # and with it goes the error, which holds on to what was allocated
            return _failed(stack, error)
        networks = {key: own for key, own in zip(hashes, kept, strict=False) if own is not None}
        return Finished(stack, dict(zip(hashes, results, strict=True)), networks=networks)


def describe_stack(stack: NamedStack) -> str:
    """The variant, and the fold and seed of a single member or the number of several."""
    first = stack[0][1]
    if len(stack) == 1:
        return f"{first.variant.label} · {first.fold} · seed {first.seed}"
    return f"{first.variant.label} · {len(stack)} members"


def work_of(stack: NamedStack) -> int:
    """How long a stack takes, in units of its own: what the recurrences multiply."""
    member = stack[0][1]
    frames = len(stack) * member.hyper.steps * member.hyper.batch_size
    return frames * member.variant.directions * member.hyper.hidden_size**2


def failure(stack: NamedStack, reason: str) -> str:
    """The error of a stack that failed for a reason."""
    folds = " ".join(dict.fromkeys(member.fold for _, member in stack))
    seeds = " ".join(dict.fromkeys(str(member.seed) for _, member in stack))
    return f"training {stack[0][1].variant.label} (folds {folds}; seeds {seeds}) failed: {reason}"


def _cut(stack: NamedStack, most: int) -> list[NamedStack]:
    """The stack in even parts of at most so many members."""
    sizes = memory.even_parts(len(stack), most)
    starts = accumulate(sizes, initial=0)
    return [stack[start : start + size] for start, size in zip(starts, sizes, strict=False)]


def _by_step(stack: NamedStack, states: States) -> list[NamedStack]:
    """The stack in parts whose members are at the same step, those that are furthest first."""
    steps = {key: states[key].step if key in states else 0 for key, _ in stack}
    return [
        [entry for entry in stack if steps[entry[0]] == step]
        for step in sorted(set(steps.values()), reverse=True)
    ]


def members_at_once(
    members: Sequence[Member],
    data: TrainingData,
    settings: TrainingSettings,
    free: int | None,
) -> int:
    """How many of a stack's members to train at once where so many bytes are free (None: unknown).

    As many as fit, and on a CPU no more than gains anything.
    """
    worthwhile = benefit.worthwhile_members(members, data)
    if free is None:
        return worthwhile
    on_gpu = data.device.type == "cuda"
    return min(worthwhile, memory.most_members(members, data, settings, free, recorded=on_gpu))


def _failed(stack: NamedStack, error: Exception) -> Finished:
    """What becomes of a stack whose training ended with an error, which is being handled."""
    if os.environ.get("GATESWAP_TRACEBACK"):
        traceback.print_exc()
    return Finished(stack, {}, _explain(stack, error))


def _explain(stack: NamedStack, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, GateswapError):
        reason = str(error)
    if out_of_memory.ran_out(error):
        reason += (
            "; this member does not fit in memory alone: lower model.hidden_size or "
            "training.batch_size, or take a device with more memory"
        )
    return failure(stack, reason)
