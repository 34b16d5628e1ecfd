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
from bench import dropout_kernel, streams

PURPOSE = "dropout"
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
    if not bool(((drop >= 0) & (drop < 1)).all()):
        raise ValueError(f"dropout probabilities must be in [0, 1), not {drop.tolist()}")
    sizes = [packing.bounds[m + 1] - packing.bounds[m] for m in range(len(keys))]
    dropped = (drop.double() * 65536).round().clamp(max=65535)
    bounds = (dropped - 32768).to(torch.int16)
    scales = (65536 / (65536 - dropped)).float()
    if keys.is_cuda or not dropout_kernel.available():
        inputs, outputs = _frames(keys, step, sizes, bounds, scales, features, width)
    else:
        inputs, outputs = (torch.empty(sum(sizes), columns) for columns in (features, width))
        by_member = zip(
            *(keys.tolist(), bounds.tolist(), scales.tolist()),
            *(torch.split(masks, sizes) for masks in (inputs, outputs)),
            strict=True,
        )
        for key, bound, scale, own_inputs, own_outputs in by_member:
            dropout_kernel.fill(key, step, PURPOSE, bound, scale, own_inputs, own_outputs)
    rows = streams.dropout_mask(keys, f"{PURPOSE}/dense", step, (packing.rows, dense), drop)
    return Dropout(inputs, outputs, rows.flatten(0, 1))


def _frames(
    keys: Tensor,
    step: int,
    sizes: list[int],
    bounds: Tensor,
    scales: Tensor,
    features: int,
    width: int,
) -> tuple[Tensor, Tensor]:
    """The frames' masks by tensor operations: what `dropout_kernel` does, for any device."""
    blocks = -(-(features + width) // PER_BLOCK)  # of a frame
    drawn = torch.empty((len(keys), max(sizes) * blocks, 4), dtype=torch.int32, device=keys.device)
    for place, word in enumerate(streams.words(keys, PURPOSE, step, max(sizes) * blocks)):
        drawn[:, :, place] = word  # keeps the lower 32 bits
    halves = drawn.view(torch.int16).view(len(keys), max(sizes), blocks * PER_BLOCK)
    bounds, scales = bounds.to(keys.device), scales.to(keys.device)
    masks = []
    for first, last in ((0, features), (features, features + width)):
        kept = [halves[m, :n, first:last] >= bounds[m] for m, n in enumerate(sizes)]
        masks.append(torch.cat([k.to(torch.float32).mul_(scales[m]) for m, k in enumerate(kept)]))
    return masks[0], masks[1]
