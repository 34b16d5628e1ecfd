"""What a training step costs, and whether the cost follows real frames.

- A step is timed whole, from the choice of examples to the updated parameters: that is what a study
  waits for.
- Frames are made up; time does not depend on what they hold, only on their lengths.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.batches import TrainingData
from bench.data.examples import MISSING, Examples
from bench.data.folds import Fold
from bench.data.members import Member
from bench.speed.lengths import iemocap_like_lengths
from bench.training.stack import Stack

FOLD = "made up"
SESSIONS = (1085, 1023, 1151, 1031, 1241)  # IEMOCAP's examples of four classes in each session
CLASSES = ("ang", "hap", "neu", "sad")


@dataclass(frozen=True, eq=False)
class StepTimes:
    """Wall seconds [n] and real frames [n] (of all members and encoders) of n training steps."""

    seconds: NDArray[np.float64]
    frames: NDArray[np.int64]

    @property
    def per_frame(self) -> float:
        """Median seconds per real frame."""
        return float(np.median(self.seconds / self.frames))


def time_steps(
    members: Sequence[Member],
    data: TrainingData,
    *,
    implementation: str = "auto",
    warm_up: int = 10,
    steps: int = 20,
) -> StepTimes:
    """Time training steps of a stack; `warm_up` steps before them compile, allocate, and on a GPU
    record the step.
    """
    stack = Stack(members, data, implementation)
    seconds, frames = [], []
    for step in range(warm_up + steps):
        _wait(data.device)
        started = time.perf_counter()
        stack.step()
        _wait(data.device)
        if step >= warm_up:
            seconds.append(time.perf_counter() - started)
            frames.append(stack.frames)
    return StepTimes(np.array(seconds), np.array(frames))


def iemocap_like_data(
    examples: int = sum(SESSIONS), *, device: torch.device | str = "cpu"
) -> TrainingData:
    """Made-up data with IEMOCAP's lengths and five leave-one-session-out folds of its sizes.

    Another number of examples is divided between the sessions in the same proportions.
    """
    ends = np.cumsum(SESSIONS) * examples // sum(SESSIONS)
    return made_up_data(
        iemocap_like_lengths(examples), sessions=np.diff(ends, prepend=0).tolist(), device=device
    )


def made_up_data(
    lengths: NDArray[np.int64],
    *,
    sessions: Sequence[int] = (),
    features: int = 45,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> TrainingData:
    """Random features of utterances with these lengths [U], each an example.

    The contexts of an example are the two utterances before it. sessions: sizes of as many folds,
    each tested on its own session, developed on the next, trained on the rest; without them one
    fold FOLD trains on everything.
    """
    n = len(lengths)
    random = np.random.default_rng(seed)
    rows = np.arange(n)
    names = np.array([f"u{row}" for row in rows])
    examples = Examples(
        classes=CLASSES,
        ids=names,
        labels=rows % len(CLASSES),
        current=rows,
        own=np.where(rows >= 2, rows - 2, MISSING),
        other=np.where(rows >= 1, rows - 1, MISSING),
        session=names,
        speaker=names,
        dialog=names,
        improvised=rows % 2 == 0,
    )
    made_up = _Features(
        frames=random.standard_normal((int(lengths.sum()), features), dtype=np.float32),
        offsets=np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        lengths=lengths,
    )
    return TrainingData.build(made_up, examples, _folds(rows, sessions), device)


def _folds(rows: NDArray[np.int64], sessions: Sequence[int]) -> list[Fold]:
    if not sessions:
        return [Fold(FOLD, train=rows, dev=rows[:1], test=rows[:1])]
    parts = np.split(rows, np.cumsum(sessions)[:-1])
    folds = []
    for k, test in enumerate(parts):
        dev = parts[(k + 1) % len(parts)]
        train = np.setdiff1d(rows, np.concatenate([dev, test]))
        folds.append(Fold(f"session {k + 1}", train=train, dev=dev, test=test))
    return folds


@dataclass(frozen=True, eq=False)
class _Features:
    """What bench.data.batches.Features asks for."""

    frames: NDArray[np.float32]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    moments: None = None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
