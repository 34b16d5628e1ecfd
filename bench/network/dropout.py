"""Dropout masks of a training step, for all members of a stack in one draw.

- A member's masks belong to its own batch: numbers are dealt frame by frame, so the longer batch of
  a companion lengthens the draw and changes nothing before its end.
- 16 bits an element: masks are the most numbers a step needs. A probability is rounded to a
  multiple of 2^−16 and masks are scaled by what it was rounded to.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from activations.kernels.packing import Packing
from bench.data import streams
from bench.network.cpu import dropout as dropout_cpu

PURPOSE = "dropout"
PER_BLOCK = 8  # half words of a block of the generator


@dataclass(frozen=True, eq=False)
class Dropout:
    """Multiplicative masks of one step: 0 with probability p, else 1 / (1 − p).

    inputs [Nc, I] and outputs [Nc, D·H] (of all layers, side by side), for features and states of
    the current utterances' Nc frames in packed order; dense [M·B, dense units].
    """

    inputs: Tensor
    outputs: Tensor
    dense: Tensor


class DropoutSource:
    """Draws the masks of a stack's training steps.

    keys [M] int64 and drop [M], probabilities, of the members; features = I, width = D·H, dense =
    units of the dense layer. purpose: draws of another purpose are other draws. Masks come on
    `device`. implementation: "gpu" draws them by Triton and takes step numbers that lie on the
    device; "reference" by C or torch: the same bits.
    Raises ValueError for probabilities outside [0, 1).
    """

    def __init__(
        self,
        keys: Tensor,
        drop: Tensor,
        *,
        features: int,
        width: int,
        dense: int,
        device: torch.device | str = "cpu",
        purpose: str = PURPOSE,
        implementation: str = "reference",
    ) -> None:
        self._purpose, self._dense_purpose = purpose, f"{purpose}/dense"
        keys, drop = keys.cpu(), drop.cpu()
        if not bool(((drop >= 0) & (drop < 1)).all()):
            raise ValueError(f"dropout probabilities must be in [0, 1), not {drop.tolist()}")
        dropped = (drop.double() * 65536).round().clamp(max=65535)
        bounds, scales = dropped.int() - 32768, (65536 / (65536 - dropped)).float()
        self._drops = bool(drop.any())
        self._drop, self._host = drop, (keys.tolist(), bounds.tolist(), scales.tolist())
        self._keys, self._bounds, self._scales = (x.to(device) for x in (keys, bounds, scales))
        self._features, self._width, self._dense = features, width, dense
        self._by_triton = implementation == "gpu"

    def draw(self, step: int | Tensor, packing: Packing) -> Dropout | None:
        """Masks of step `step` (an int, or int64 [1] on the device); None where nothing drops.

        packing: E · M groups, the current utterances' first. Masks of spare frames are finite.
        """
        if not self._drops:
            return None
        rows = packing.rows
        if self._by_triton:
            from bench.network.gpu import dropout as dropout_gpu

            if not isinstance(step, Tensor):
                step = torch.full((1,), step, dtype=torch.int64, device=self._keys.device)
            source = dropout_gpu.MaskSource(self._keys, step, self._bounds, self._scales)
            inputs, outputs = source.of_frames(self._purpose, packing, self._features, self._width)
            dense = source.of_rows(self._dense_purpose, rows * self._dense)
            return Dropout(inputs, outputs, dense.view(-1, self._dense))
        inputs, outputs = self._frames(int(step), packing)
        return Dropout(inputs, outputs, self._rows(int(step), rows))

    @property
    def _by_c(self) -> bool:
        return not self._keys.is_cuda and dropout_cpu.available()

    def _rows(self, step: int, rows: int) -> Tensor:
        """The dense layer's masks [M·rows, dense] by C or by torch: `streams.dropout_mask`."""
        if not self._by_c:
            shape = rows, self._dense
            drawn = streams.dropout_mask(self._keys, self._dense_purpose, step, shape, self._drop)
            return drawn.flatten(0, 1)
        size = rows * self._dense
        blocks = torch.empty(len(self._keys), -(-size // PER_BLOCK), PER_BLOCK)
        nothing = torch.empty(blocks.shape[1], 0)
        for key, bound, scale, own in zip(*self._host, blocks, strict=True):
            dropout_cpu.fill(key, step, self._dense_purpose, bound, scale, own, nothing)
        # there, all blocks' first words come first, each of two half words
        by_word = blocks.view(len(blocks), -1, PER_BLOCK // 2, 2).transpose(1, 2)
        return by_word.reshape(len(blocks), -1)[:, :size].reshape(-1, self._dense)

    def _frames(self, step: int, packing: Packing) -> tuple[Tensor, Tensor]:
        """The frames' masks by C or by torch operations."""
        sizes = [b - a for a, b in pairwise(packing.bounds[: len(self._keys) + 1])]
        widths = self._features, self._width
        if not self._by_c:
            return _frames(
                self._keys, self._purpose, step, sizes, self._bounds, self._scales, *widths
            )
        inputs, outputs = (torch.empty(sum(sizes), columns) for columns in widths)
        by_member = zip(
            *self._host, *(torch.split(masks, sizes) for masks in (inputs, outputs)), strict=True
        )
        for key, bound, scale, own_inputs, own_outputs in by_member:
            dropout_cpu.fill(key, step, self._purpose, bound, scale, own_inputs, own_outputs)
        return inputs, outputs


def _frames(
    keys: Tensor,
    purpose: str,
    step: int,
    sizes: list[int],
    bounds: Tensor,
    scales: Tensor,
    features: int,
    width: int,
) -> tuple[Tensor, Tensor]:
    """The frames' masks by tensor operations: what `cpu.dropout` does, for any device."""
    blocks = -(-(features + width) // PER_BLOCK)  # of a frame
    drawn = torch.empty((len(keys), max(sizes) * blocks, 4), dtype=torch.int32, device=keys.device)
    for place, word in enumerate(streams.words(keys, purpose, step, max(sizes) * blocks)):
        drawn[:, :, place] = word  # keeps the lower 32 bits
    halves = drawn.view(torch.int16).view(len(keys), max(sizes), blocks * PER_BLOCK)
    bounds = bounds.to(torch.int16)
    masks = []
    for first, last in ((0, features), (features, features + width)):
        kept = [halves[m, :n, first:last] >= bounds[m] for m, n in enumerate(sizes)]
        masks.append(torch.cat([k.to(torch.float32).mul_(scales[m]) for m, k in enumerate(kept)]))
    return masks[0], masks[1]
