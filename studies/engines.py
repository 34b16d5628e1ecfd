"""Engines: where stacks are trained.

- An engine only computes: it takes members and yields results, and knows neither files nor plans.
- What goes wrong with one stack ends that stack and no other, and names its members.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from activations.errors import GateswapError, InputError
from bench.batches import TrainingData
from bench.members import Member
from bench.results import MemberResult
from bench.training import Progress, TrainingSettings, train_stack

Stack = Sequence[tuple[str, Member]]  # hash and member
OnProgress = Callable[[Stack, Progress], None]


@dataclass(frozen=True)
class Finished:
    """What became of one stack: results by hash, or why there are none."""

    stack: Stack
    results: dict[str, MemberResult]
    error: str = ""


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`. Raises InputError for one that is not here."""
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"no device '{name}'; --device takes auto, cpu or cuda")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise InputError(
            "--device cuda: torch sees no CUDA device. See gateswap doctor, or use --device cpu"
        )
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def train_here(
    stacks: Sequence[Stack],
    data: TrainingData,
    settings: TrainingSettings,
    on_progress: OnProgress,
) -> Iterator[Finished]:
    """Train the stacks one after another in this process, each with all of its threads."""
    for stack in stacks:
        try:
            results = train_stack(
                [member for _, member in stack],
                data,
                settings,
                on_progress=lambda progress, stack=stack: on_progress(stack, progress),  # type: ignore[misc]
            )
        except (GateswapError, RuntimeError, ValueError, MemoryError) as error:
            yield Finished(stack, {}, _explain(stack, error))
            continue
        hashes = (member_hash for member_hash, _ in stack)
        yield Finished(stack, dict(zip(hashes, results, strict=True)))


def describe_stack(stack: Stack) -> str:
    """The variant, and the fold and seed of a single member or the number of several."""
    first = stack[0][1]
    if len(stack) == 1:
        return f"{first.variant.label} · {first.fold} · seed {first.seed}"
    return f"{first.variant.label} · {len(stack)} members"


def _explain(stack: Stack, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, GateswapError):
        reason = str(error)
    remedy = ""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        remedy = f"; train fewer at once: stack.max_members={max(1, len(stack) // 2)}"
    folds = " ".join(dict.fromkeys(member.fold for _, member in stack))
    seeds = " ".join(dict.fromkeys(str(member.seed) for _, member in stack))
    return (
        f"training {stack[0][1].variant.label} (folds {folds}; seeds {seeds}) failed: "
        f"{reason}{remedy}"
    )
