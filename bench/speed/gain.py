"""What a study gains: members per minute, the reference against the kernel, stacked against alone.

- `python -m bench.speed.gain` prints the table of docs/speed.md. Contestants take turns
  at training steps within one process, and medians count.
- A step is timed whole; a member's time is the stack's divided by its members.
- On a GPU the reference trains one by one only: it walks a stack's recurrences one after another,
  so that stacking gives it nothing, and a step already takes half a second.
- Also measured: what a real frame costs where lengths differ as IEMOCAP's do, against equal
  lengths.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch

from activations.wording import counted
from bench.data.batches import TrainingData
from bench.data.members import Hyperparameters, Member, Variant
from bench.speed.lengths import iemocap_like_lengths
from bench.speed.step_time import FOLD, iemocap_like_data, made_up_data, time_steps
from bench.training.evaluation import Evaluation
from bench.training.stack import Stack
from bench.training.train import TrainingSettings

Contestant = tuple[str, str, bool]  # name, implementation, whether its members are stacked
CONTESTANTS: tuple[Contestant, ...] = (
    ("kernel", "auto", True),
    ("kernel", "auto", False),
    ("reference", "reference", True),
    ("reference", "reference", False),
)
GPU_WARM_UP = 10  # steps before a stack's step is recorded as a CUDA graph, and some
ROUND = 0.1  # s: on a GPU a round takes as many steps as that, because waiting for it costs, too
MOST_STEPS = 10  # of a round


@dataclass(frozen=True)
class Gain:
    """Members per minute of one contestant: `steps` training steps each, by its median step.

    milliseconds: median time of a step of one member; quartiles: of the same. peak_bytes: the most
    that the device's allocator held for this stack alone; None on a CPU. setup_seconds: of drawing
    the initial weights of all its members. evaluation_ms: of all members' development and test
    sets, once; None where it was not asked for.
    """

    size: str
    contestant: str
    members: int
    milliseconds: float
    quartiles: tuple[float, float]
    members_per_minute: float
    rounds: int
    setup_seconds: float
    peak_bytes: int | None
    evaluation_ms: float | None


@dataclass
class _Entry:
    """A contestant ready to take turns: its stack, the steps of a round, the times so far."""

    name: str
    members: list[Member]
    stack: Stack
    setup_seconds: float
    peak_bytes: int | None
    steps: int
    evaluation_ms: float | None
    times: list[float]


def measure_gain(
    size: str,
    data: TrainingData,
    hyper: Hyperparameters,
    *,
    stacked: int,
    rounds: int,
    variant: Variant | None = None,
    contestants: Sequence[Contestant] | None = None,
    evaluations: int = 0,
) -> list[Gain]:
    """Let all contestants take training steps in `rounds` turns, after some that do not count.

    Members are spread over the folds of `data`, then over seeds. contestants: all of CONTESTANTS,
    on a GPU without the stacked reference. evaluations: how many to time of each kernel's stack.
    """
    if contestants is None:
        contestants = [
            (name, implementation, together)
            for name, implementation, together in CONTESTANTS
            if data.device.type == "cpu" or implementation != "reference" or not together
        ]
    entries = [
        _enter(
            name,
            members_of(variant or Variant(), data, hyper, stacked if together else 1),
            data,
            implementation,
            evaluations if implementation != "reference" else 0,
        )
        for name, implementation, together in contestants
    ]
    for _ in range(rounds):
        for entry in entries:
            entry.times.append(_seconds_of_steps(entry.stack, data, entry.steps))
    return [_gain(size, entry, hyper, rounds) for entry in entries]


def members_of(
    variant: Variant, data: TrainingData, hyper: Hyperparameters, number: int
) -> list[Member]:
    """Members of one variant: every fold of the data with seed 0, then with seed 1, …"""
    places = ((fold, seed) for seed in count() for fold in data.folds)
    return [
        Member(variant, fold, seed, hyper)
        for _, (fold, seed) in zip(range(number), places, strict=False)
    ]


def _enter(
    name: str, members: list[Member], data: TrainingData, implementation: str, evaluations: int
) -> _Entry:
    """Build a stack and let it take the steps that compile, allocate and record."""
    cuda = data.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(data.device)
        before = torch.cuda.memory_allocated(data.device)
        torch.cuda.reset_peak_memory_stats(data.device)
    started = time.perf_counter()
    stack = Stack(members, data, implementation)
    setup_seconds = time.perf_counter() - started
    warm_up = GPU_WARM_UP if cuda and implementation != "reference" else 1
    _seconds_of_steps(stack, data, warm_up)
    steps, peak = 1, None
    if cuda:
        steps = min(MOST_STEPS, int(ROUND / _seconds_of_steps(stack, data, 1)) + 1)
        peak = torch.cuda.max_memory_allocated(data.device) - before
    evaluation_ms = None
    if evaluations:
        evaluation = Evaluation(members, data, TrainingSettings().evaluation_rows)
        took = []
        for _ in range(evaluations + 1):
            started = time.perf_counter()
            evaluation.logits(stack.network)  # its result lies on the host: nothing to wait for
            took.append(time.perf_counter() - started)
        evaluation_ms = 1e3 * float(np.median(took[1:]))
    return _Entry(name, members, stack, setup_seconds, peak, steps, evaluation_ms, [])


def _seconds_of_steps(stack: Stack, data: TrainingData, steps: int) -> float:
    """Wall seconds of one step, from `steps` in a row."""
    cuda = data.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(data.device)
    started = time.perf_counter()
    for _ in range(steps):
        stack.step()
    if cuda:
        torch.cuda.synchronize(data.device)
    return (time.perf_counter() - started) / steps


def _gain(size: str, entry: _Entry, hyper: Hyperparameters, rounds: int) -> Gain:
    of_member = np.array(entry.times) / len(entry.members)
    low, middle, high = (float(np.quantile(of_member, q)) for q in (0.25, 0.5, 0.75))
    return Gain(
        size=size,
        contestant=entry.name,
        members=len(entry.members),
        milliseconds=1e3 * middle,
        quartiles=(1e3 * low, 1e3 * high),
        members_per_minute=60.0 / (middle * hyper.steps),
        rounds=rounds,
        setup_seconds=entry.setup_seconds,
        peak_bytes=entry.peak_bytes,
        evaluation_ms=entry.evaluation_ms,
    )


def length_ratio(
    hyper: Hyperparameters, *, members: int, steps: int, device: torch.device | str = "cpu"
) -> float:
    """Time per real frame with lengths like IEMOCAP's over the time with equal ones."""
    stack = [Member(Variant(), FOLD, seed, hyper) for seed in range(members)]
    equal = made_up_data(np.full(1000, 91), device=device)
    ragged = made_up_data(iemocap_like_lengths(1000), device=device)
    ratios = []
    for _ in range(3):
        times = [time_steps(stack, data, steps=steps).per_frame for data in (ragged, equal)]
        ratios.append(times[0] / times[1])
    return float(np.median(ratios))


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed.gain", description=main.__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=9, help="turns whose median counts")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device, so there is none to measure; use --device cpu")
    device, rounds = torch.device(given.device), given.rounds
    where = counted(torch.get_num_threads(), "thread")
    if device.type == "cuda":
        where = f"{torch.cuda.get_device_name()}, {torch.get_float32_matmul_precision()!r} products"
    print(f"torch {torch.__version__}, {where}, {rounds} rounds")
    demo = Hyperparameters(
        hidden_size=32, dense_size=32, batch_size=32, steps=200, learning_rate=2e-3, clip_norm=5.0
    )
    short = made_up_data(iemocap_like_lengths(1000, mean=45), device=device)
    sizes = [
        ("demo: H=32, B=32, mean 45 frames, 200 steps", demo, short, 10),
        (
            "H=128, B=64, mean 91 frames, 3,000 steps",
            Hyperparameters(hidden_size=128),
            made_up_data(iemocap_like_lengths(1000), device=device),
            10,
        ),
    ]
    if device.type == "cuda":
        paper = iemocap_like_data(device=device)
        sizes.append(("H=512, B=64, mean 91 frames, 3,000 steps", Hyperparameters(), paper, 25))
    print(
        "| size | contestant | members | ms per step and member | quartiles | members per minute |"
    )
    print("|---|---|--:|--:|--:|--:|")
    for size, hyper, data, stacked in sizes:
        for gain in measure_gain(size, data, hyper, stacked=stacked, rounds=rounds):
            low, high = gain.quartiles
            print(
                f"| {gain.size} | {gain.contestant} | {gain.members} | {gain.milliseconds:.1f} | "
                f"{low:.1f} – {high:.1f} | {gain.members_per_minute:.3g} |",
                flush=True,
            )
    for hidden in (64, 128):
        hyper = Hyperparameters(hidden_size=hidden)
        ratio = length_ratio(hyper, members=3, steps=5, device=device)
        print(f"time per real frame, IEMOCAP-like against equal lengths, H={hidden}: {ratio:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
