"""A small made-up corpus as training sees it: 5 features, three folds, some contexts missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bench.data.batches import TrainingData
from bench.data.examples import Examples
from bench.data.folds import Fold
from bench.data.members import Hyperparameters, Member
from bench.training.memory import MemberSizes
from bench.training.train import TrainingSettings

FEATURES = 5
CLASSES = ("ang", "hap", "neu", "sad")
SMALL = Hyperparameters(
    hidden_size=8,
    attention_size=3,
    dense_size=6,
    batch_size=7,
    steps=6,
    evaluate_every=3,
    learning_rate=1e-2,
)


@dataclass
class Store:
    """What training takes of a feature store."""

    frames: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    moments: None = None


def data(examples: int = 36, longest: int = 9, seed: int = 0) -> TrainingData:
    """Utterances of 1 … longest frames; one example each, an eighth of the contexts missing.

    The class shows in the mean of the first four features, so that it can be learnt.
    """
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, examples)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    labels = np.arange(examples) % len(CLASSES)
    frames = random.normal(size=(lengths.sum(), FEATURES)).astype(np.float32)
    frames[np.arange(len(frames)), np.repeat(labels, lengths)] += 2.0
    own, other = (
        np.where(random.random(examples) < 0.125, -1, random.integers(0, examples, examples))
        for _ in range(2)
    )
    session = np.array([f"S{index * 3 // examples}" for index in range(examples)])
    table = Examples(
        classes=CLASSES,
        ids=np.array([f"u{index}" for index in range(examples)]),
        labels=labels,
        current=np.arange(examples),
        own=own,
        other=other,
        session=session,
        speaker=session,
        dialog=session,
        improvised=np.arange(examples) % 2 == 0,
    )
    sides = [np.flatnonzero(session == f"S{index}") for index in range(3)]
    # the folds' training sets differ in size, so that members' epochs do
    folds = [Fold(f"S{k}", sides[(k + 1) % 3][k:], sides[(k + 2) % 3], sides[k]) for k in range(3)]
    torch.manual_seed(0)
    return TrainingData.build(Store(frames, offsets, lengths), table, folds)


def stack_bytes(
    members: Sequence[Member], data: TrainingData, settings: TrainingSettings, *, recorded: bool
) -> int:
    """What the training of a stack is estimated to take beside `data`."""
    sizes = (MemberSizes.of(member, data, settings) for member in members)
    return round(sum(each.bytes(recorded=recorded) for each in sizes))
