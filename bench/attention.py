"""Softmax attention over packed frames: one weighted mean of states for each row.

- Rows have their own numbers of frames, so a padded softmax would cost the longest row for each.
- A row without frames has nothing to attend to: its mean is zero, and so are its gradients.
- Sums run over each row's own frames in time order, on every device, so that a row's result is the
  same bits whatever else is in the batch.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from activations.kernels import Packing


@dataclass(frozen=True, eq=False)
class Segments:
    """Where the frames of each row lie, for groups `first … last − 1` of a packing.

    Frames and rows are counted from the first of these groups: n frames, R = groups × B rows.
    rows [n]: the row of each frame, in packed order. order [n]: the packed places of row 0's frames
    in time order, then row 1's, … offsets [R + 1]: where each row begins in `order`.
    """

    rows: Tensor
    order: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, packing: Packing, first: int, last: int) -> "Segments":
        """The segments of groups first … last − 1 of `packing`, on its device."""
        B, device = packing.rows, packing.lengths.device
        start, n = packing.bounds[first], packing.bounds[last] - packing.bounds[first]
        lengths = packing.lengths[first:last].flatten()
        offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64, device=device)
        torch.cumsum(lengths, 0, out=offsets[1:])
        numbers = torch.arange(len(lengths), device=device)
        row = numbers.repeat_interleave(lengths, output_size=n)
        # the place of (group, time) among the steps' first frames: T + 1 entries a group
        step = torch.arange(n, device=device) + (numbers // B * (packing.T + 1) - offsets[:-1])[row]
        order = (
            packing.starts[first:last].flatten()[step] + packing.ranks[first:last].flatten()[row]
        )
        order = order - start if start else order
        rows = packing.row_of_frame[start : start + n]
        return cls(rows - first * B if first else rows, order, offsets)


def attend(states: Tensor, scores: Tensor, segments: Segments) -> Tensor:
    """Mean of each row's states with weights softmax(scores) over the row's frames: [R, D].

    states [n, D] and scores [n], in packed order; differentiable in both.
    """
    pooled: Tensor = _Attend.apply(states, scores, segments)  # type: ignore[no-untyped-call]
    return pooled


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, scores: Tensor, segments: Segments) -> Tensor:
        order, offsets = segments.order, segments.offsets
        # of row after row: softmax with the largest score of each row subtracted
        by_row = scores.index_select(0, order)
        row = segments.rows.index_select(0, order)
        # unsafe: the check that offsets fit would wait for a GPU
        top = torch.segment_reduce(by_row, "max", offsets=offsets, unsafe=True, initial=-torch.inf)
        weights = torch.exp(by_row - top.index_select(0, row))
        total = torch.segment_reduce(weights, "sum", offsets=offsets, unsafe=True, initial=0.0)
        weights = weights / total.index_select(0, row)
        pooled = torch.nn.functional.embedding_bag(
            order, states, offsets[:-1], mode="sum", per_sample_weights=weights
        )
        packed = torch.empty_like(weights).index_copy_(0, order, weights)
        ctx.save_for_backward(states, packed, segments.rows, pooled)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        states, weights, rows, pooled = ctx.saved_tensors
        at_frames = grad.index_select(0, rows)
        # d softmax: the weight times how much better than the mean this frame's state would be
        better = torch.linalg.vecdot(states, at_frames) - (pooled * grad).sum(1).index_select(
            0, rows
        )
        return at_frames.mul_(weights[:, None]), weights * better, None
