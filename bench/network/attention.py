"""Additive attention over packed frames: one weighted mean of states for each row.

- Rows have their own numbers of frames, so a padded softmax would cost the longest row for each.
- A row without frames has nothing to attend to: its mean is zero, and so are its gradients.
- Sums run over each row's own frames in time order, on every device, so that a row's result is the
  same bits whatever else is in the batch.
- Torch operations are the definition; on a GPU one kernel does it all (gpu/attention.py), on the
  CPU one that makes the keys, too (cpu/attention.py).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from activations.kernels.packing import Packing
from activations.kernels.projection import project


def attention(
    states: Tensor,
    keys: Tensor,
    offer: Tensor | None,
    score: Tensor,
    packing: Packing,
    *,
    implementation: str = "reference",
) -> Tensor:
    """Mean of each row's states [N, W] with weights softmax(score · tanh(keys + offer)): [R, W].

    keys [N, A] of the frames, offer [R, A] of the rows (None: nothing), score [G, A] of the groups;
    rows R = G · B in the batch's order. Differentiable in all four. implementation "gpu" is the
    Triton kernel, the only one for a packing with room; "reference" any dtype, anywhere.
    """
    if implementation == "gpu":
        from bench.network.gpu import attention as attention_gpu

        return attention_gpu.attention(states, keys, offer, score, packing)
    segments = Segments.of(packing)
    if offer is not None:
        keys = keys + offer.index_select(0, segments.rows)
    scores = project(keys.tanh(), score[:, None], None, packing)
    return attend(states, scores[:, 0], segments)


@dataclass(frozen=True, eq=False)
class Segments:
    """Where the frames of each row of a packing without spare frames lie; R = groups × B rows.

    rows [N]: the row of each frame, in packed order. order [N]: the packed places of row 0's frames
    in time order, then row 1's, … offsets [R + 1]: where each row begins in `order`.
    """

    rows: Tensor
    order: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, packing: Packing) -> "Segments":
        """The segments of a packing, on its device."""
        B, device = packing.rows, packing.lengths.device
        lengths = packing.lengths.flatten()
        offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64, device=device)
        torch.cumsum(lengths, 0, out=offsets[1:])
        numbers = torch.arange(len(lengths), device=device)
        row = numbers.repeat_interleave(lengths, output_size=packing.N)
        # the place of (group, time) among the steps' first frames: T + 1 entries a group
        step = torch.arange(packing.N, device=device)
        step += (numbers // B * (packing.T + 1) - offsets[:-1])[row]
        order = packing.starts.flatten()[step] + packing.ranks.flatten()[row]
        return cls(torch.empty_like(row).index_copy_(0, order, row), order, offsets)


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
        ctx.save_for_backward(states, scores, packed, segments.rows, pooled)
        return pooled

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, scores, weights, rows, pooled = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody differentiates this again
            needed = ctx.needs_input_grad[:2]
            # views of their own: scores may depend on the states, and that way is not ours to go
            states, scores = states.view_as(states), scores.view_as(scores)
            wanted = [each for each, need in zip((states, scores), needed, strict=True) if need]
            plain = _attend_plainly(states, scores, rows, len(pooled))
            found = iter(torch.autograd.grad(plain, wanted, grad, create_graph=True))
            return *(next(found) if need else None for need in needed), None
        at_frames = grad.index_select(0, rows)
        # d softmax: the weight times how much better than the mean this frame's state would be
        better = torch.linalg.vecdot(states, at_frames) - (pooled * grad).sum(1).index_select(
            0, rows
        )
        return at_frames.mul_(weights[:, None]), weights * better, None


def _attend_plainly(states: Tensor, scores: Tensor, rows: Tensor, R: int) -> Tensor:
    """`attend` in operations that can be differentiated as often as one likes; rows [n]."""
    top = scores.new_full((R,), -torch.inf).scatter_reduce(0, rows, scores.detach(), "amax")
    weights = torch.exp(scores - top.index_select(0, rows))
    total = weights.new_zeros(R).index_add(0, rows, weights)
    weights = weights / total.index_select(0, rows)
    return states.new_zeros(R, states.shape[1]).index_add(0, rows, weights[:, None] * states)
