"""Dropout masks on the GPU: the numbers of data.streams, drawn and turned into masks by Triton.

- Bit for bit the masks of dropout.py on the CPU: Philox4x32-10 has one answer, and a mask is a
  comparison and a scale.
- A program draws blocks of one member, eight elements each; the step's number may lie on the
  device, so that a recorded training step draws new masks each time.
- Spare frames (a packing with room) get masks too, finite ones.
"""

# Triton reads the kernels' source: no annotations but tl.constexpr, names short as in the maths

from dataclasses import dataclass
from itertools import pairwise

import torch
import triton
import triton.language as tl
from torch import Tensor

from activations.kernels.packing import Packing
from bench.data import streams

BLOCK = 256  # blocks of the generator, in one program
BLOCKS = {"BLOCK": BLOCK, "num_warps": 4}  # of both kernels


@dataclass(frozen=True, eq=False)
class MaskSource:
    """M members at a step: keys [M] int64, step [1] int64, bounds [M] int32, scales [M] float32.

    An element is its member's scale where its half word, as a signed number, is at least the bound.
    """

    keys: Tensor
    step: Tensor
    bounds: Tensor
    scales: Tensor

    def of_frames(
        self, purpose: str, packing: Packing, features: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Masks of the current utterances' Nc frames, [Nc, features] and [Nc, width].

        packing: of at least M groups, the first M of them the current utterances'.
        """
        M = len(self.keys)
        last = packing.starts.new_full((1,), packing.bounds[M])
        firsts = torch.cat([packing.starts[:M, 0], last])
        room = max(end - start for start, end in pairwise(packing.bounds[: M + 1]))
        inputs = self.scales.new_empty(packing.bounds[M], features)
        outputs = self.scales.new_empty(packing.bounds[M], width)
        blocks = -(-(features + width) // 8)  # of a frame
        if room:
            low, high = streams.purpose_words(purpose)
            fill_frames[(-(-room * blocks // BLOCK), M)](
                self.keys, self.step, self.bounds, self.scales, firsts,
                inputs, outputs, features, width, blocks,
                LOW=low, HIGH=high, **BLOCKS,
            )  # fmt: skip
        return inputs, outputs

    def of_rows(self, purpose: str, size: int) -> Tensor:
        """A mask [M, size], laid out as `streams.dropout_mask` does."""
        mask = self.scales.new_empty(len(self.keys), size)
        blocks = -(-size // 8)
        low, high = streams.purpose_words(purpose)
        fill_dense[(-(-blocks // BLOCK), len(self.keys))](
            self.keys, self.step, self.bounds, self.scales, mask, size, blocks,
            LOW=low, HIGH=high, **BLOCKS,
        )  # fmt: skip
        return mask


@triton.jit
def fill_frames(
    keys, step, bounds, scales, firsts, inputs, outputs, features, width, blocks,
    LOW: tl.constexpr, HIGH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Masks of some blocks of a member's frames; a frame is `blocks` blocks, word after word."""
    m = tl.program_id(1)
    first = tl.program_id(0) * BLOCK
    a, b, c, d = draw(keys, step, m, first + tl.arange(0, BLOCK), LOW, HIGH)
    # half word 2 w + h of a block is half h (the lower first) of word w
    lower = tl.interleave(
        tl.interleave(a & 0xFFFF, c & 0xFFFF), tl.interleave(b & 0xFFFF, d & 0xFFFF)
    )
    upper = tl.interleave(tl.interleave(a >> 16, c >> 16), tl.interleave(b >> 16, d >> 16))
    mask = scaled(tl.interleave(lower, upper), bounds, scales, m)
    start = tl.load(firsts + m)
    end = tl.load(firsts + m + 1)
    place = tl.arange(0, 8 * BLOCK)
    block = first + place // 8
    frame = start + block // blocks
    column = block % blocks * 8 + place % 8
    tl.store(inputs + frame * features + column, mask, mask=(frame < end) & (column < features))
    column -= features
    tl.store(
        outputs + frame * width + column,
        mask,
        mask=(frame < end) & (column >= 0) & (column < width),
    )


@triton.jit
def fill_dense(
    keys, step, bounds, scales, out, size, blocks,
    LOW: tl.constexpr, HIGH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A member's mask of `size` elements: first words of all blocks, then second ones, …"""
    m = tl.program_id(1)
    first = tl.program_id(0) * BLOCK
    a, b, c, d = draw(keys, step, m, first + tl.arange(0, BLOCK), LOW, HIGH)
    store_words(a, 0, bounds, scales, out, m, first, size, blocks, BLOCK)
    store_words(b, 1, bounds, scales, out, m, first, size, blocks, BLOCK)
    store_words(c, 2, bounds, scales, out, m, first, size, blocks, BLOCK)
    store_words(d, 3, bounds, scales, out, m, first, size, blocks, BLOCK)


@triton.jit
def store_words(word, w, bounds, scales, out, m, first, size, blocks, BLOCK: tl.constexpr):
    """The two elements of each of these w-th words of blocks."""
    mask = scaled(tl.interleave(word & 0xFFFF, word >> 16), bounds, scales, m)
    place = tl.arange(0, 2 * BLOCK)
    element = 2 * (w * blocks + first) + place
    inside = (first + place // 2 < blocks) & (element < size)
    tl.store(out + m * size + element, mask, mask=inside)


@triton.jit
def draw(keys, step, m, block, LOW: tl.constexpr, HIGH: tl.constexpr):
    """The four words (uint32) of a member's blocks at this step."""
    counter = block.to(tl.uint32)
    now = tl.full(counter.shape, 0, tl.uint32) + tl.load(step).to(tl.uint32)
    low = tl.full(counter.shape, LOW, tl.uint32)
    high = tl.full(counter.shape, HIGH, tl.uint32)
    return tl.philox(tl.load(keys + m), counter, now, low, high)


@triton.jit
def scaled(half, bounds, scales, m):
    """The member's scale where a half word, as a signed number, is at least its bound; else 0."""
    signed = (half.to(tl.int32) ^ 0x8000) - 0x8000
    return tl.where(signed >= tl.load(bounds + m), tl.load(scales + m), 0.0)
