"""Batches of a stack: which examples, and their frames packed as the network takes them.

- Features stay on the device; a batch is an index computed from lengths and offsets and one
  `index_select`, on a CPU one copy in C. Nothing is padded.
- Each member draws its own examples from its own stream, so that they do not depend on the stack.
- Lengths are kept on the host too: the packing's sizes must be known there without waiting. Where a
  batch has to have a given shape (`gather_in_room`), the device lays it out by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activations.errors import InputError
from activations.kernels.packing import Packing
from activations.wording import counted
from bench.data import gathering, streams
from bench.data.examples import Examples
from bench.data.folds import Fold
from bench.data.members import MISSING_FRAMES, Hyperparameters, Member
from bench.data.subset import training_part
from bench.features.moments import Moments


class Features(Protocol):
    """What is taken of a feature store: frames [F, I]; offsets, lengths [U] of the utterances.

    moments: where each fold has to normalise the frames by its training utterances.
    """

    @property
    def frames(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def offsets(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def lengths(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def moments(self) -> Moments | None: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Features, examples and folds, ready on a device; E examples, encoders in the network's order.

    frames [F, I] float32, offsets [3, E] int64 (the first frame of each example's current, own and
    other utterance; 0 where missing) and labels [E] int64 on the device; lengths [3, E] int64
    (frames; 0 where missing) on the host, and once more on the device. normal: of each fold what
    to subtract from and to multiply with its frames [2, I]; None where frames are as they are.
    """

    frames: Tensor
    offsets: Tensor
    labels: Tensor
    lengths: Tensor
    lengths_on_device: Tensor
    examples: Examples
    folds: dict[str, Fold]
    normal: dict[str, Tensor] | None = None

    @classmethod
    def build(
        cls,
        features: Features,
        examples: Examples,
        folds: Sequence[Fold],
        device: torch.device | str = "cpu",
    ) -> "TrainingData":
        """Put the features of a corpus on a device, with what its examples need of them.

        Features that are mapped from a file stay mapped on the CPU.
        """
        offsets = torch.from_numpy(np.asarray(features.offsets, dtype=np.int64))
        lengths = torch.from_numpy(np.asarray(features.lengths, dtype=np.int64))
        rows = torch.from_numpy(np.stack([examples.current, examples.own, examples.other]))
        missing = rows < 0
        rows = rows.clamp(min=0)
        of_examples = lengths[rows].masked_fill(missing, 0)
        normal = None
        if (moments := features.moments) is not None:
            normal = {fold.name: _normal(moments, examples, fold).to(device) for fold in folds}
        return cls(
            frames=torch.from_numpy(np.asarray(features.frames, dtype=np.float32)).to(device),
            offsets=offsets[rows].masked_fill(missing, 0).to(device),
            labels=torch.from_numpy(examples.labels).to(device),
            lengths=of_examples,
            lengths_on_device=of_examples.to(device),
            examples=examples,
            folds={fold.name: fold for fold in folds},
            normal=normal,
        )

    @property
    def device(self) -> torch.device:
        """Where the features lie."""
        return self.frames.device


def _normal(moments: Moments, examples: Examples, fold: Fold) -> Tensor:
    """Mean, and one over the deviation, of all that a fold's training examples let hear: [2, I]."""
    heard = [of[fold.train] for of in (examples.current, examples.own, examples.other)]
    rows = np.unique(np.concatenate(heard))
    return torch.from_numpy(np.stack(moments.normalisation(rows[rows >= 0])).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Hearing:
    """How much of their examples M members hear, and how.

    utterances: of an example's three, from the current one on. normal [2, M, I], on the device:
    what is subtracted from and multiplied with a member's frames; None: nothing. endless: contexts
    go on in zero frames to the end of the batch. missing: zero frames heard in place of a context
    that is missing. truncate: a batch ends with the longest utterance of its last example.
    """

    utterances: int = 3
    normal: Tensor | None = None
    endless: bool = False
    missing: int = 0
    truncate: bool = False

    @classmethod
    def of(cls, members: Sequence[Member], data: TrainingData, utterances: int) -> "Hearing":
        """What members of a stack hear in training whose networks take so many utterances."""
        normal = data.normal
        own = None if normal is None else torch.stack([normal[m.fold] for m in members], 1)
        return cls.of_hyper(members[0].hyper, utterances, own)

    @classmethod
    def of_hyper(cls, hyper: Hyperparameters, utterances: int, normal: Tensor | None) -> "Hearing":
        """The same by a stack's setting, and its members' normalisation [2, M, I] or None."""
        return cls(
            utterances,
            normal,
            endless=not hyper.context_mask,
            missing=MISSING_FRAMES if hyper.missing_context == "frames" else 0,
            truncate=hyper.truncate == "last",
        )

    @property
    def whole(self) -> "Hearing":
        """The same of whole utterances, as in evaluation."""
        return replace(self, truncate=False)

    def lengths(self, lengths: Tensor, examples: Tensor, present: Tensor | None = None) -> Tensor:
        """Frames heard of each utterance of examples [M, B]: [E, M, B]. lengths [3, ·]: their own.

        present [M, B] bool: False where a row is empty. On the device of its arguments.
        """
        heard = lengths[: self.utterances, examples]
        if self.missing:
            contexts = heard[1:]
            contexts.masked_fill_(contexts == 0, self.missing)
        if present is not None:
            heard = heard * present
        if not (self.endless or self.truncate):
            return heard
        longest = heard.amax(0)  # [M, B]
        end = longest[:, -1:] if self.truncate else longest.amax(1, keepdim=True)
        heard = heard.minimum(end)
        if self.endless:
            contexts = end.expand_as(heard[1:])
            heard = torch.cat([heard[:1], contexts if present is None else contexts * present])
        return heard


EVERYTHING = Hearing()


@dataclass(frozen=True, eq=False)
class Batch:
    """B examples for each of M members: packed frames [N, I] of E · M groups, labels [M, B].

    E: how many of an example's three utterances were gathered.
    """

    frames: Tensor
    packing: Packing
    labels: Tensor


def gather(
    data: TrainingData,
    examples: Tensor,
    present: Tensor | None = None,
    hearing: Hearing = EVERYTHING,
) -> Batch:
    """The batch of examples [M, B] (host int64), encoder by encoder, member by member.

    present [M, B] bool: False makes a row empty (its label then means nothing).
    """
    lengths = hearing.lengths(data.lengths, examples, present)
    packing = Packing.from_lengths(lengths.view(-1, examples.shape[1])).to(data.device)
    return _take(data, examples.to(data.device, non_blocking=True), packing, hearing)


def gather_in_room(
    data: TrainingData,
    examples: Tensor,
    room: int,
    steps: int,
    hearing: Hearing = EVERYTHING,
) -> Batch:
    """The batch of examples [M, B] (int64 on the device), laid out by the device alone.

    Its shape is that of `room` frames for each encoder of a member and at most `steps` time steps,
    whatever the examples' lengths (see `Packing.with_room`).
    """
    lengths = hearing.lengths(data.lengths_on_device, examples).view(-1, examples.shape[1])
    return _take(data, examples, Packing.with_room(lengths, room, steps), hearing)


def _take(data: TrainingData, examples: Tensor, packing: Packing, hearing: Hearing) -> Batch:
    offsets = data.offsets[: hearing.utterances, examples].flatten()
    own = None
    if hearing.endless or hearing.missing > 0:  # time may lie beyond an utterance
        own = data.lengths_on_device[: hearing.utterances, examples].flatten()
    if not packing.has_spare and gathering.available(data.frames):
        frames = gathering.gather(data.frames, offsets, packing, lengths=own, normal=hearing.normal)
    else:
        frames = _by_index(data.frames, offsets, packing, own, hearing.normal)
    return Batch(frames=frames, packing=packing, labels=data.labels[examples])


def _by_index(
    store: Tensor, offsets: Tensor, packing: Packing, own: Tensor | None, normal: Tensor | None
) -> Tensor:
    """`gathering.gather` in torch's operations; own: its lengths."""
    index = offsets.index_select(0, packing.row_of_frame) + packing.time_of_frame
    if packing.has_spare or own is not None:
        index = index.clamp(max=len(store) - 1)
    frames = store.index_select(0, index)
    if normal is not None:
        of = packing.row_of_frame // packing.rows % normal.shape[1]
        centre, scale = normal
        frames = (frames - centre.index_select(0, of)) * scale.index_select(0, of)
    if own is not None:
        after = packing.time_of_frame >= own.index_select(0, packing.row_of_frame)
        frames = frames.masked_fill_(after[:, None], 0.0)
    return frames


class Order:
    """Which examples each member sees at each step.

    A member reads its part of the training fold in one random order after another without a break,
    so that a batch may reach over the end of an epoch and every batch is full, small folds
    included; or, last_batch "drop", what does not fill a batch at the end of an epoch is left out
    of it.
    Raises InputError where that leaves nothing.
    """

    def __init__(self, members: Sequence[Member], data: TrainingData) -> None:
        self._keys = [member.stream for member in members]
        self._train = [
            torch.from_numpy(training_part(member, data.examples, data.folds[member.fold]))
            for member in members
        ]
        self._size = members[0].hyper.batch_size
        self._epochs: list[dict[int, Tensor]] = [{} for _ in members]
        self._drops = members[0].hyper.last_batch == "drop"
        for member, train in zip(members, self._train, strict=True):
            if self._drops and len(train) < self._size:
                examples = counted(len(train), "training example")
                raise InputError(
                    f"training.last_batch: drop leaves fold {member.fold} without a batch: "
                    f"{examples}, training.batch_size {self._size}; set "
                    "last_batch: carry or a smaller batch_size"
                )

    def examples(self, step: int) -> Tensor:
        """Examples [M, B] of a step, counted from 0."""
        return torch.stack([self._member(m, step) for m in range(len(self._keys))])

    def _member(self, m: int, step: int) -> Tensor:
        n = len(self._train[m])
        start = step * self._size
        if self._drops:
            epoch, batch = divmod(step, n // self._size)
            start = epoch * n + batch * self._size
        first, last = start // n, (start + self._size - 1) // n
        epochs = self._epochs[m]
        for epoch in range(first, last + 1):
            if epoch not in epochs:
                order = streams.permutation(self._keys[m], "order", epoch, n)
                epochs[epoch] = self._train[m][order]
        for epoch in [epoch for epoch in epochs if epoch < first]:
            del epochs[epoch]
        start -= first * n
        if first == last:
            return epochs[first][start : start + self._size]
        rows = torch.cat([epochs[epoch] for epoch in range(first, last + 1)])
        return rows[start : start + self._size]
