"""Dropout masks of a training step, for all members of a stack in one draw.

- A member's masks belong to its own batch: numbers are dealt frame by frame, so the longer batch of
  a companion lengthens the draw and changes nothing before its end.
- 16 bits an element: masks are the most numbers a step needs. A probability is rounded to a
  multiple of 2^−16 and masks are scaled by what it was rounded to.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from activations.kernels import Packing
from bench import streams

PER_BLOCK = 8  # half words of a block of the generator


@dataclass(frozen=True, eq=False)
class Dropout:
    """Multiplicative masks of one step: 0 with probability p, else 1 / (1 − p).

    inputs [Nc, I] and outputs [Nc, D·H], for features and states of the current utterances' Nc
    frames in packed order; dense [M·B, dense units].
    """

    inputs: Tensor
    outputs: Tensor
    dense: Tensor


def draw(
    keys: Tensor,
    step: int,
    drop: Tensor,
    packing: Packing,
    *,
    features: int,
    width: int,
    dense: int,
) -> Dropout:
    """Masks of step `step` for members `keys` [M] int64 with probabilities drop [M] on the host.

    packing: 3 M groups, the current utterances' first. features = I, width = D·H, dense = units of
    the dense layer. Everything is on the keys' device. Raises ValueError for probabilities outside
    [0, 1).
    """
    M = len(keys)
    sizes = [packing.bounds[m + 1] - packing.bounds[m] for m in range(M)]
    blocks = -(-(features + width) // PER_BLOCK)  # of a frame
    drawn = torch.empty((M, max(sizes) * blocks, 4), dtype=torch.int32, device=keys.device)
    for place, word in enumerate(streams.words(keys, "dropout", step, max(sizes) * blocks)):
        drawn[:, :, place] = word  # keeps the lower 32 bits
    halves = drawn.view(torch.int16).view(M, max(sizes), blocks * PER_BLOCK)
    dropped = (drop.double() * 65536).round().clamp(max=65535)
    bounds = (dropped - 32768).to(torch.int16).to(keys.device)
    scales = (65536 / (65536 - dropped)).float().to(keys.device)
    masks = []
    for first, last in ((0, features), (features, features + width)):
        kept = [halves[m, :n, first:last] >= bounds[m] for m, n in enumerate(sizes)]
        masks.append(torch.cat([k.to(torch.float32).mul_(scales[m]) for m, k in enumerate(kept)]))
    rows = streams.dropout_mask(keys, "dropout/dense", step, (packing.rows, dense), drop)
    return Dropout(masks[0], masks[1], rows.flatten(0, 1))
