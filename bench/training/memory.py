"""Memory of a stack: how much its training takes, and how many members fit.

- An estimate is arithmetic on shapes and lengths: it costs nothing and asks no device. It counts
  the large tensors only and is good to within a half (tests compare it with the real peak), which
  is enough to begin with: what runs out all the same is answered by splitting the stack.
- Frames decide: those of a member's longest training batch, of its evaluation's longest batch,
  which takes the longest examples of the fold together, and of the padded sample that is looked
  into at the end.
- Everything is in floats of 4 bytes. What a frame, a row and the parameters take is the network's
  to say (`Footprint`); "current" frames are those of the current utterance's encoder.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from activations.kernels.cpu.limits import free_memory, resident_memory
from bench.data.batches import TrainingData
from bench.data.members import Member
from bench.network.kinds import network_class
from bench.network.network import Footprint
from bench.training.out_of_memory import release
from bench.training.train import TrainingSettings

FLOAT = 4  # bytes
SHARE = 0.85  # of the free memory that a stack may take: the allocator's blocks never fit exactly
# of a CPU's: an estimate may be short by a half, and what takes too much there is killed, not told
CPU_SHARE = 0.6
COPIES = 7  # of a parameter: value, gradient, mean, square, scratch; its gradient and both
# directions' weights side by side while the recurrence runs backward
DEVIATIONS = 4.0  # by which the longest of some 10,000 batches exceeds the mean batch
ROUNDING = 9 / 8  # frames of a batch are rounded up by at most an eighth, on the GPU and by blocks
RECORDINGS = 2  # steps' worth of memory: a recording of a larger batch cannot use a smaller one's
PARTIAL_SUMS = 8 << 20  # bytes, of a recurrence's and a projection's gradients (kernels.gpu.tiles)


@dataclass(frozen=True, kw_only=True)
class MemberSizes:
    """What one member's memory depends on.

    footprint: what its network takes of each. batch: examples; utterances: of each that are heard.
    batch_frames: of all encoders in its longest batch; evaluation_frames, diagnosis_frames: of the
    longest evaluation batch, of the padded sample of the diagnostics. keeps: whether a copy of the
    best weights is kept beside them.
    """

    footprint: Footprint
    batch: int
    utterances: int
    batch_frames: float
    evaluation_frames: float
    diagnosis_frames: float
    keeps: bool = False

    @classmethod
    def of(cls, member: Member, data: TrainingData, settings: TrainingSettings) -> "MemberSizes":
        """The sizes of a member that trains on `data`."""
        variant, hyper, fold = member.variant, member.hyper, data.folds[member.fold]
        network = network_class(hyper.kind)
        lengths = data.lengths[: network.utterances].cpu().numpy().copy()
        if not hyper.context_mask:  # as long as the longest that may stand beside them
            lengths[1:] = lengths.max()
        sites = (variant.update, variant.reset, variant.activation)
        judged = np.sort(lengths[:, np.concatenate([fold.dev, fold.test])].sum(0))
        return cls(
            footprint=network.footprint(
                variant,
                hyper,
                features=data.frames.shape[1],
                classes=len(data.examples.classes),
                learns=any(site.formula.parameters for site in sites),
            ),
            batch=hyper.batch_size,
            utterances=network.utterances,
            batch_frames=sum(longest_batch(own[fold.train], hyper.batch_size) for own in lengths),
            evaluation_frames=float(judged[-settings.evaluation_rows :].sum()),
            diagnosis_frames=float(
                network.utterances
                * settings.diagnostic_utterances
                * lengths[:, fold.diagnosed].max(initial=0)
            ),
            keeps=settings.keep == "best",
        )

    def bytes(self, *, recorded: bool) -> float:
        """What a stack needs for this member.

        recorded: whether steps are recorded, as on a GPU. The recordings own the memory of
        RECORDINGS steps, and the steps before them, evaluations and diagnostics need theirs beside
        it. On the CPU the kernels keep their blocks, and the diagnostics need theirs beside them.
        """
        each = self.footprint
        of_frame = each.frame + each.current / self.utterances
        if not recorded:
            of_frame -= each.cached
        step = self.batch_frames * of_frame + self.batch * each.row
        evaluation = self.evaluation_frames * each.evaluated
        diagnosis = self.diagnosis_frames * each.diagnosed
        if recorded:
            frames = RECORDINGS * step + max(step, evaluation, diagnosis)
            sums = 2 * each.directions * PARTIAL_SUMS
        else:
            frames, sums = max(step, evaluation) + diagnosis, 0
        copies = COPIES + self.keeps
        return FLOAT * (copies * each.parameters + ROUNDING * frames) + sums


def longest_batch(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], batch: int) -> float:
    """Frames of the longest batches of examples with these lengths, drawn at random.

    The mean, and DEVIATIONS standard deviations of a sum of `batch`; never more than the longest
    examples have.
    """
    expected = batch * lengths.mean() + DEVIATIONS * math.sqrt(batch) * lengths.std()
    return float(min(expected, batch * lengths.max()))


def most_members(
    members: Sequence[Member],
    data: TrainingData,
    settings: TrainingSettings,
    free: int,
    *,
    recorded: bool,
) -> int:
    """How many of a stack's members fit into so many bytes at once; at least 1, to try it."""
    return min(len(members), max(1, room_for(members, data, settings, free, recorded=recorded)))


def room_for(
    members: Sequence[Member],
    data: TrainingData,
    settings: TrainingSettings,
    free: int,
    *,
    recorded: bool,
) -> int:
    """How many members like the largest of these fit into so many bytes; 0: not even one."""
    # folds differ in their lengths: counted as if all were the one that needs most
    of_folds = {member.fold: member for member in members}.values()
    each = max(
        MemberSizes.of(member, data, settings).bytes(recorded=recorded) for member in of_folds
    )
    share = SHARE if data.device.type == "cuda" else CPU_SHARE
    return max(0, int(share * free / each))


def even_parts(size: int, most: int) -> list[int]:
    """Sizes of the fewest parts of at most `most` that make up `size`, as even as can be."""
    parts = -(-size // most)
    return [size // parts + (place < size % parts) for place in range(parts)]


def free_bytes(device: torch.device) -> int | None:
    """What can be had on a device now; None where the system does not tell."""
    release(device)  # what is kept for later does not count as free
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()


def resident_bytes(device: torch.device) -> int:
    """What this process holds on a device already; 0 where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return resident_memory() or 0
