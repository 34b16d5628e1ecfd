"""What a study gains: members per minute, the reference against the kernel, stacked against alone.

- `python -m bench.gain` prints the table of docs/speed.md. Contestants take training steps in turns
  within one process, and medians count.
- A step is timed whole; a member's time is the stack's divided by its members.
- Also told: what a real frame costs where lengths differ as IEMOCAP's do, against equal lengths.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from activations.speed.lengths import iemocap_like_lengths
from bench.batches import TrainingData
from bench.members import Hyperparameters, Member, Variant
from bench.step_time import FOLD, made_up_data, time_steps
from bench.training import Stack

CONTESTANTS = (
    ("kernel", "auto", True),
    ("kernel", "auto", False),
    ("reference", "reference", True),
    ("reference", "reference", False),
)


@dataclass(frozen=True)
class Gain:
    """Members per minute of one contestant: `steps` training steps each, by its median step.

    milliseconds: median time of a step of one member; quartiles: of the same.
    """

    size: str
    contestant: str
    members: int
    milliseconds: float
    quartiles: tuple[float, float]
    members_per_minute: float
    rounds: int


def measure_gain(
    size: str, data: TrainingData, hyper: Hyperparameters, *, stacked: int, rounds: int
) -> list[Gain]:
    """Let all contestants take `rounds` training steps in turns, after one that does not count."""
    stacks = []
    for name, implementation, together in CONTESTANTS:
        count = stacked if together else 1
        members = [Member(Variant(), FOLD, seed, hyper) for seed in range(count)]
        stacks.append((name, count, Stack(members, data, implementation)))
    times: list[list[float]] = [[] for _ in stacks]
    for turn in range(rounds + 1):
        for place, (_, count, stack) in enumerate(stacks):
            started = time.perf_counter()
            stack.step()
            if turn:
                times[place].append((time.perf_counter() - started) / count)
    return [
        Gain(
            size=size,
            contestant=name,
            members=count,
            milliseconds=1e3 * float(np.median(own)),
            quartiles=(1e3 * float(np.quantile(own, 0.25)), 1e3 * float(np.quantile(own, 0.75))),
            members_per_minute=60.0 / (float(np.median(own)) * hyper.steps),
            rounds=rounds,
        )
        for (name, count, _), own in zip(stacks, times, strict=True)
    ]


def length_ratio(hyper: Hyperparameters, *, members: int, steps: int) -> float:
    """Time per real frame with lengths like IEMOCAP's over the time with equal ones."""
    stack = [Member(Variant(), FOLD, seed, hyper) for seed in range(members)]
    equal = made_up_data(np.full(1000, 91))
    ragged = made_up_data(iemocap_like_lengths(1000))
    ratios = []
    for _ in range(3):
        times = [time_steps(stack, data, steps=steps).per_frame for data in (ragged, equal)]
        ratios.append(times[0] / times[1])
    return float(np.median(ratios))


def main(arguments: Sequence[str]) -> None:
    """Print the tables; an argument is the number of rounds (default 9)."""
    rounds = int(arguments[0]) if arguments else 9
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {rounds} rounds")
    demo = Hyperparameters(
        hidden_size=32, dense_size=32, batch_size=32, steps=200, learning_rate=2e-3, clip_norm=5.0
    )
    medium = Hyperparameters(hidden_size=128, steps=3000)
    sizes = (
        ("demo: H=32, B=32, mean 45 frames, 200 steps", demo, iemocap_like_lengths(1000, mean=45)),
        ("H=128, B=64, mean 91 frames, 3,000 steps", medium, iemocap_like_lengths(1000)),
    )
    print(
        "| size | contestant | members | ms per step and member | quartiles | members per minute |"
    )
    print("|---|---|--:|--:|--:|--:|")
    for size, hyper, lengths in sizes:
        data = made_up_data(lengths)
        for gain in measure_gain(size, data, hyper, stacked=10, rounds=rounds):
            low, high = gain.quartiles
            print(
                f"| {gain.size} | {gain.contestant} | {gain.members} | {gain.milliseconds:.1f} | "
                f"{low:.1f} – {high:.1f} | {gain.members_per_minute:.3g} |",
                flush=True,
            )
    for hidden in (64, 128):
        hyper = Hyperparameters(hidden_size=hidden)
        ratio = length_ratio(hyper, members=3, steps=5)
        print(f"time per real frame, IEMOCAP-like against equal lengths, H={hidden}: {ratio:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
