"""How many members are worth training together on a CPU.

- Members share what a step costs whatever it computes: Python, torch's calls, packing. Where one
  member's arithmetic is long beside that, a stack gains nothing, and what an interruption loses
  grows with it. On a GPU, which a member alone leaves idle, more is always better.
- Only a number of operations is compared, so that a plan's stacks are the same at every start.
"""

import math
from collections.abc import Sequence

import torch

from bench.data.batches import TrainingData
from bench.data.members import Member
from bench.network.kinds import network_class

# operations in the time that a step takes whatever it computes, for each thread that would compute
# them meanwhile: 7 ms at some 30 GFLOP/s (docs/speed.md)
IDLE = 0.2e9
SHARE = 0.02  # of a step that may be lost to it
STRIPS = 16  # of rows: items of work that keep one thread evenly busy beside others, of 4 rows each


def operations(member: Member, data: TrainingData) -> float:
    """Multiplications and additions of a member's training step, of its products and their
    gradients, by the mean batch of all examples, whatever the fold.
    """
    hyper, network = member.hyper, network_class(member.hyper.kind)
    footprint = network.footprint(
        member.variant,
        hyper,
        features=data.frames.shape[1],
        classes=len(data.examples.classes),
        learns=False,
    )
    lengths = data.lengths[: network.utterances].double()
    frames = float(lengths.mean(1).sum()) * hyper.batch_size
    return 3 * 2 * frames * footprint.parameters / network.utterances


def worthwhile_members(
    members: Sequence[Member], data: TrainingData, *, threads: int | None = None
) -> int:
    """How many of a stack's members to train at once; all of them where data lies on a GPU.

    threads: that compute, torch's by default.
    """
    if data.device.type != "cpu":
        return len(members)
    threads = threads or torch.get_num_threads()
    member = members[0]
    pays = math.ceil(IDLE * threads / SHARE / max(operations(member, data), 1.0))
    recurrences = network_class(member.hyper.kind).utterances * member.variant.directions
    fills = math.ceil(threads * STRIPS * 4 / (recurrences * member.hyper.batch_size))
    return min(len(members), max(pays, fills))
