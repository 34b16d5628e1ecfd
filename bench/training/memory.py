"""Memory of a stack: how much its training takes, and how many members fit.

- An estimate is arithmetic on shapes and lengths: it costs nothing and asks no device. It counts
  the large tensors only and is good to within a half (tests compare it with the real peak), which
  is enough to begin with: what runs out all the same is answered by splitting the stack.
- Frames decide: those of a member's longest training batch, of its evaluation's longest batch,
  which takes the longest examples of the fold together, and of the padded sample that is looked
  into at the end.
- Everything is in floats of 4 bytes, H hidden units, D directions, W = D·H, I features, A attention
  units; "current" frames are those of the current utterance's encoder, a third of all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from activations.registry import get
from bench.data.batches import TrainingData
from bench.data.members import Member
from bench.network.iaan import ENCODERS
from bench.training.out_of_memory import release
from bench.training.train import TrainingSettings

FLOAT = 4  # bytes
SHARE = 0.85  # of the free memory that a stack may take: the allocator's blocks never fit exactly
COPIES = 7  # of a parameter: value, gradient, mean, square, scratch; its gradient and both
# directions' weights side by side while the recurrence runs backward
INDEX = 24  # of a frame: its row, its time, its place in the store and in attention, as int64
DEVIATIONS = 4.0  # by which the longest of some 10,000 batches exceeds the mean batch
ROUNDING = 9 / 8  # frames of a batch are rounded up by at most an eighth, on the GPU and by blocks
RECORDINGS = 2  # steps' worth of memory: a recording of a larger batch cannot use a smaller one's
PARTIAL_SUMS = 2 << 20  # bytes, of a recurrence's and a projection's gradients (kernels.gpu.tiles)


@dataclass(frozen=True, kw_only=True)
class MemberSizes:
    """What one member's memory depends on.

    learnable: whether an activation has parameters, whose gradients are kept frame by frame.
    batch_frames: of all encoders in its longest batch; evaluation_frames, diagnosis_frames: of the
    longest evaluation batch, of the padded sample of the diagnostics.
    """

    features: int
    classes: int
    hidden: int
    directions: int
    attention: int
    dense: int
    batch: int
    learnable: bool
    batch_frames: float
    evaluation_frames: float
    diagnosis_frames: float

    @classmethod
    def of(cls, member: Member, data: TrainingData, settings: TrainingSettings) -> "MemberSizes":
        """The sizes of a member that trains on `data`."""
        variant, hyper, fold = member.variant, member.hyper, data.folds[member.fold]
        lengths = data.lengths.cpu().numpy()
        sites = (variant.update, variant.reset, variant.activation)
        judged = np.sort(lengths[:, np.concatenate([fold.dev, fold.test])].sum(0))
        return cls(
            features=data.frames.shape[1],
            classes=len(data.examples.classes),
            hidden=hyper.hidden_size,
            directions=variant.directions,
            attention=hyper.attention_size,
            dense=hyper.dense_size,
            batch=hyper.batch_size,
            learnable=any(get(site).parameters for site in sites),
            batch_frames=sum(longest_batch(own[fold.train], hyper.batch_size) for own in lengths),
            evaluation_frames=float(judged[-settings.evaluation_rows :].sum()),
            diagnosis_frames=float(
                len(ENCODERS) * settings.diagnostic_utterances * lengths[:, fold.dev].max()
            ),
        )

    @property
    def parameters(self) -> int:
        """Trainable numbers, but for the activations' own."""
        W, A, dense = self.directions * self.hidden, self.attention, self.dense
        encoder = 3 * W * (self.features + self.hidden + 2)
        attention = A * (W + 2)
        head = dense * (len(ENCODERS) * W + 3) + self.classes * (dense + 1)
        return len(ENCODERS) * (encoder + attention) + 2 * A * W + head

    @property
    def training_floats(self) -> float:
        """Kept of its longest batch at the two moments that take most.

        Where the recurrence runs forward: projected gates 3 W, saved gates 4 W and states W of each
        frame. Where it runs backward: saved gates 4 W, states W and their gradients W, gradients of
        the gates 3 W and of the recurrent candidate W, what is carried from step to step W, and 3 W
        where parameters learn. All along: features I, the index, attention's A and its gradient; of
        current frames the dropout masks I + W and the states after dropout W.
        """
        W = self.directions * self.hidden
        frame = (11 + 3 * self.learnable) * W + self.features + INDEX + 3 * self.attention
        current = self.features + 2 * W
        rows = self.batch * (2 * len(ENCODERS) * W + 8 * self.dense)
        return self.batch_frames * (frame + current / len(ENCODERS)) + rows

    @property
    def evaluation_floats(self) -> float:
        """Kept of an evaluation's longest batch: nothing is saved for a way back."""
        W = self.directions * self.hidden
        frame = 4 * W + self.features + INDEX + 3 * self.attention
        return self.evaluation_frames * frame

    @property
    def diagnosis_floats(self) -> float:
        """Kept of the padded sample, whose gates torch computes anew, one direction at a time.

        Of both directions the projected gates 3 H, states H and the states before H; of one the
        recurrent products 3 H, the gates 3 H and what an activation computes on its way, 3 H.
        """
        W = self.directions * self.hidden
        return self.diagnosis_frames * (5 * W + 9 * self.hidden + self.features)

    def bytes(self, *, recorded: bool) -> float:
        """What a stack needs for this member.

        recorded: whether steps are recorded, as on a GPU. The recordings own the memory of
        RECORDINGS steps, and the steps before them, evaluations and diagnostics need theirs beside
        it. On the CPU the kernels keep their blocks, and the diagnostics need theirs beside them.
        """
        step, evaluation = self.training_floats, self.evaluation_floats
        if recorded:
            frames = RECORDINGS * step + max(step, evaluation, self.diagnosis_floats)
            sums = 2 * len(ENCODERS) * self.directions * PARTIAL_SUMS
        else:
            frames, sums = max(step, evaluation) + self.diagnosis_floats, 0
        return FLOAT * (COPIES * self.parameters + ROUNDING * frames) + sums


def longest_batch(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], batch: int) -> float:
    """Frames of the longest batches of examples with these lengths, drawn at random.

    The mean, and DEVIATIONS standard deviations of a sum of `batch`; never more than the longest
    examples have.
    """
    expected = batch * lengths.mean() + DEVIATIONS * math.sqrt(batch) * lengths.std()
    return float(min(expected, batch * lengths.max()))


def stack_bytes(
    members: Sequence[Member], data: TrainingData, settings: TrainingSettings, *, recorded: bool
) -> int:
    """What the training of a stack takes beside `data`."""
    sizes = (MemberSizes.of(member, data, settings) for member in members)
    return round(sum(each.bytes(recorded=recorded) for each in sizes))


def most_members(
    members: Sequence[Member],
    data: TrainingData,
    settings: TrainingSettings,
    free: int,
    *,
    recorded: bool,
) -> int:
    """How many of a stack's members fit into so many bytes at once; at least 1, to try it."""
    # folds differ in their lengths: counted as if all were the one that needs most
    of_folds = {member.fold: member for member in members}.values()
    each = max(
        MemberSizes.of(member, data, settings).bytes(recorded=recorded) for member in of_folds
    )
    return min(len(members), max(1, int(SHARE * free / each)))


def even_parts(size: int, most: int) -> list[int]:
    """Sizes of the fewest parts of at most `most` that make up `size`, as even as can be."""
    parts = -(-size // most)
    return [size // parts + (place < size % parts) for place in range(parts)]


def free_bytes(device: torch.device) -> int | None:
    """What can be had on a GPU now; None on the CPU, where the system swaps before it refuses."""
    if device.type != "cuda":
        return None
    release(device)  # what torch keeps for later does not count as free
    return torch.cuda.mem_get_info(device)[0]
