"""How many members are worth training together on a CPU, and about how long they take.

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
# operations in the time that a frame takes on one thread however many there are: 2 µs, of torch's
# operations that run on one and of waking the others (docs/speed.md)
SERIAL = 60e3
RATE = 30e9  # operations of one thread in a second
STRIPS = 16  # of rows: items of work that keep one thread evenly busy beside others, of 4 rows each


def operations(member: Member, data: TrainingData) -> float:
    """Multiplications and additions of a member's training step, of its products and their
    gradients, by the mean batch of all examples, whatever the fold.
    """
    network = network_class(member.hyper.kind)
    footprint = network.footprint(
        member.variant,
        member.hyper,
        features=data.frames.shape[1],
        classes=len(data.examples.classes),
        learns=False,
    )
    return 3 * 2 * frames(member, data) * footprint.parameters / network.utterances


def frames(member: Member, data: TrainingData) -> float:
    """Frames of the mean batch of all examples, of all that a member hears."""
    utterances = network_class(member.hyper.kind).utterances
    lengths = data.lengths[:utterances].double()
    return float(lengths.mean(1).sum()) * member.hyper.batch_size


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


def seconds(members: Sequence[Member], data: TrainingData, *, threads: int) -> float:
    """About how long a stack trains on so many threads of a CPU, as many at once as pays.

    A rough figure, by numbers of operations: it is for comparing ways to share the threads.
    """
    member, count = members[0], len(members)
    parts = math.ceil(count / worthwhile_members(members, data, threads=threads))
    alone = SERIAL * frames(member, data)  # what of each takes one thread
    each = alone + operations(member, data) / threads
    return member.hyper.steps * (parts * IDLE + count * each) / RATE
