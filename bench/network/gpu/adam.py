"""Adam for a stack on the GPU: three launches a step, whatever the network and the stack.

- Blocks of one member's numbers are the unit of work: first their sums of squares, then each
  member's norm and what follows from it, then the update, which reads and writes everything once.
- A member's blocks are cut and summed in an order that is its own, without atomics, so that its
  bits do not depend on its companions.
- The number of steps is counted on the device, so that a recorded training step may be repeated.
"""

# Triton reads the kernels' source: no annotations but tl.constexpr, names short as in the maths

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from bench.network.flat import BETA1, BETA2, EPSILON, Flat

BLOCK = 2048  # numbers that one program takes
BLOCKS = {"BLOCK": BLOCK, "num_warps": 4}  # of every kernel
SETTLE = {"LOG_BETA1": math.log(BETA1), "LOG_BETA2": math.log(BETA2)} | BLOCKS
UPDATE = {"BETA1": BETA1, "KEEP1": 1 - BETA1, "BETA2": BETA2, "KEEP2": 1 - BETA2}
UPDATE |= {"EPSILON": EPSILON} | BLOCKS


class FusedAdam:
    """Adam's state for a stack, and its step by three kernels."""

    def __init__(self, flat: Flat) -> None:
        self._flat = flat
        self.mean, self.square = torch.zeros_like(flat.values), torch.zeros_like(flat.values)
        self._table = _table(flat).to(flat.values.device)
        self._sums = flat.values.new_empty(len(self._table))
        self._scales = flat.values.new_empty(3, flat.members)
        self._steps = torch.zeros(1, dtype=torch.int64, device=flat.values.device)

    @property
    def steps(self) -> int:
        """Steps that were taken; asking waits for the device."""
        return int(self._steps)

    @steps.setter
    def steps(self, number: int) -> None:
        self._steps.fill_(number)  # a recorded step counts in this very place

    def step(self, losses: Tensor) -> Tensor:
        """As `StackedAdam.step`, by the gradients in the buffer."""
        flat, table, scales = self._flat, self._table, self._scales
        norms = torch.empty_like(flat.rate)
        blocks, members = len(table), flat.members
        alive = flat.alive.view(torch.uint8)
        self._steps.add_(1)
        sum_squares[(blocks,)](flat.values, flat.gradients, table, flat.l2, self._sums, **BLOCKS)
        settle[(members,)](
            self._sums, losses.contiguous(), self._steps, flat.rate, flat.clip, alive, norms,
            scales, members, blocks // members, **SETTLE,
        )  # fmt: skip
        update[(blocks,)](
            flat.values, flat.gradients, self.mean, self.square, table, flat.l2, alive, scales,
            members, RAW=flat.raw_epsilon, **UPDATE,
        )  # fmt: skip
        return norms


def _table(flat: Flat) -> Tensor:
    """Blocks [M · K, 4], each member's K one after another: start, length, member, decayed."""
    rows = []
    for m in range(flat.members):
        for span in flat.spans:
            for e in range(span.tensors):
                start = span.start + (e * flat.members + m) * span.size
                for first in range(0, span.size, BLOCK):
                    length = min(BLOCK, span.size - first)
                    rows.append((start + first, length, m, int(span.decayed)))
    return torch.tensor(rows, dtype=torch.int64)


@triton.jit
def sum_squares(values, gradients, table, l2, sums, BLOCK: tl.constexpr):
    """The sum of squares of each block's gradients, the term of the L2 in them."""
    i = tl.program_id(0)
    at, inside, m, decayed = block_of(table, i, BLOCK)
    value = tl.load(values + at, mask=inside & decayed, other=0.0)
    g = tl.load(gradients + at, mask=inside, other=0.0) + tl.load(l2 + m) * value
    tl.store(sums + i, tl.sum(g * g, 0))


@triton.jit(do_not_specialize=["M"])
def settle(
    sums, losses, steps, rate, clip, alive, norms, scales, M, K,
    LOG_BETA1: tl.constexpr, LOG_BETA2: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One member's norm, whether it goes on, and scales [3, M]: clipping, 1 / (1 − β₂ᵗ)^½, rate."""
    m = tl.program_id(0)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for first in range(0, K, BLOCK):
        k = first + tl.arange(0, BLOCK)
        total += tl.load(sums + m * K + k, mask=k < K, other=0.0)
    norm = tl.sqrt_rn(tl.sum(total, 0))
    tl.store(norms + m, norm)
    finite = (tl.abs(norm) < float("inf")) & (tl.abs(tl.load(losses + m)) < float("inf"))
    tl.store(alive + m, tl.where(finite, tl.load(alive + m), 0))
    # 1e-6: as torch.nn.utils.clip_grad_norm_
    limit = tl.minimum(tl.div_rn(tl.load(clip + m), norm + 1e-6), 1.0)
    # float64 as in torch.optim.Adam: 1 − 0.999 has lost four digits in float32
    t = tl.load(steps).to(tl.float64)
    first_left = 1.0 - tl.exp(t * tl.full((), LOG_BETA1, tl.float64))
    second_left = 1.0 - tl.exp(t * tl.full((), LOG_BETA2, tl.float64))
    tl.store(scales + m, limit)
    tl.store(scales + M + m, tl.sqrt(second_left).to(tl.float32))
    tl.store(scales + 2 * M + m, tl.div_rn(tl.load(rate + m), first_left.to(tl.float32)))


@triton.jit(do_not_specialize=["M"])
def update(
    values, gradients, mean, square, table, l2, alive, scales, M,
    BETA1: tl.constexpr, KEEP1: tl.constexpr, BETA2: tl.constexpr, KEEP2: tl.constexpr,
    EPSILON: tl.constexpr, RAW: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Adam's step of one block, where its member is alive; KEEP1 = 1 − β₁, KEEP2 = 1 − β₂.

    RAW: epsilon is added before the second moment is corrected.
    """
    at, inside, m, decayed = block_of(table, tl.program_id(0), BLOCK)
    if tl.load(alive + m) != 0:
        value = tl.load(values + at, mask=inside, other=0.0)
        g = tl.load(gradients + at, mask=inside, other=0.0)
        g += tl.load(l2 + m) * tl.where(decayed, value, 0.0)
        g = g * tl.load(scales + m)
        first = tl.load(mean + at, mask=inside, other=0.0) * BETA1 + g * KEEP1
        second = tl.load(square + at, mask=inside, other=0.0) * BETA2 + g * g * KEEP2
        if RAW:
            size = tl.div_rn(tl.sqrt_rn(second) + EPSILON, tl.load(scales + M + m))
        else:
            size = tl.div_rn(tl.sqrt_rn(second), tl.load(scales + M + m)) + EPSILON
        value -= tl.div_rn(first, size) * tl.load(scales + 2 * M + m)
        tl.store(mean + at, first, mask=inside)
        tl.store(square + at, second, mask=inside)
        tl.store(values + at, value, mask=inside)


@triton.jit
def block_of(table, i, BLOCK: tl.constexpr):
    """Places of block i, which of them it has, its member, and whether the L2 is of it."""
    row = table + i * 4
    k = tl.arange(0, BLOCK)
    return tl.load(row) + k, k < tl.load(row + 1), tl.load(row + 2), tl.load(row + 3) != 0
