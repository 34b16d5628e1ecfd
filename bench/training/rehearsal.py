"""A few steps of a stack before it is trained: what all of them will take.

- Steps are timed whole, evaluation and what frames the steps (initial weights, diagnostics) too; a
  stack's time is their sum, each as often as it comes.
- The first step, which compiles and allocates, counts as setting up.
- A GPU records its step while the first ones run, so that more of them are needed there.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.data.batches import TrainingData
from bench.data.members import Member
from bench.training.evaluation import Evaluation
from bench.training.stack import Stack
from bench.training.train import TrainingSettings

STEPS, SECONDS = 8, 2.0  # timed: so many, or as many as take so long, but at least LEAST
LEAST = 3
GPU_WARM_UP = 10


@dataclass(frozen=True)
class Rehearsal:
    """What was timed of a stack of `members`, in seconds; steps [n] each, sorted."""

    members: int
    setup: float
    steps: tuple[float, ...]
    evaluation: float

    def seconds(self, member: Member) -> tuple[float, float, float]:
        """Of one member in such a stack: low, expected and high, by the quartiles of the steps."""
        hyper = member.hyper
        evaluations = -(-hyper.steps // hyper.evaluate_every)
        fixed = self.setup + evaluations * self.evaluation
        low, middle, high = (
            (fixed + hyper.steps * float(step)) / self.members
            for step in np.quantile(self.steps, (0.25, 0.5, 0.75))
        )
        return low, middle, high


def rehearse(
    members: Sequence[Member], data: TrainingData, settings: TrainingSettings | None = None
) -> Rehearsal:
    """Train a stack for a few steps and evaluate it once. Raises as `train_stack` does."""
    settings = settings or TrainingSettings()
    started = time.perf_counter()
    stack = Stack(members, data, settings.implementation)
    evaluation = Evaluation(members, data, settings.evaluation_rows, stack.hearing)
    for _ in range(1 if data.device.type == "cpu" else GPU_WARM_UP):
        stack.step()
    _wait(data.device)
    setup = time.perf_counter() - started
    steps: list[float] = []
    while len(steps) < LEAST or (len(steps) < STEPS and sum(steps) < SECONDS):
        started = time.perf_counter()
        stack.step()
        _wait(data.device)
        steps.append(time.perf_counter() - started)
    started = time.perf_counter()
    evaluation.logits(stack.network)
    return Rehearsal(len(members), setup, tuple(sorted(steps)), time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
