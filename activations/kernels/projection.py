"""The input projection of a stack: each group's own frames by its own weights.

- Groups have different numbers of frames, so one batched product would need padding.
- A product per group and a `cat` would copy the largest tensor of a training step; here each
  product is written where it belongs.
- A group's product is the same call beside any other groups, so its numbers are the same, too.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from activations.kernels.cpu import projection as cpu_projection
from activations.kernels.gpu import projection as gpu_projection
from activations.kernels.packing import Packing
from activations.kernels.reference import projection_gradients


def project(
    frames: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    packing: Packing,
    *,
    implementation: str = "reference",
) -> Tensor:
    """Multiply each group's frames by its weights: [N, I], [G, O, I], bias [G, O] -> [N, O].

    implementation: what `kernels.dispatch.choose` says of the recurrence beside it. "cpu" is our
    own C, which is faster where I is narrow, "gpu" one launch for all groups, in which a group's
    numbers do not depend on the others and spare frames take no part; both are for float32.
    "reference" is torch's own products on any device; it knows no spare frames.
    """
    if implementation == "cpu":
        return cpu_projection.project(frames, weight, bias, packing.bounds)
    if implementation == "gpu":
        return gpu_projection.project(frames, weight, bias, packing)
    if len(weight) == 1:
        return nn.functional.linear(frames, weight[0], None if bias is None else bias[0])
    if frames.is_cuda and packing.in_order:  # one launch; on the CPU it would gain nothing
        return batched_product(frames, weight, bias)
    projected: Tensor = _GroupedLinear.apply(  # type: ignore[no-untyped-call]
        frames, weight, bias, packing.bounds
    )
    return projected


def batched_product(frames: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`project` for groups that all have the same number of frames, as one product."""
    each = frames.reshape(len(weight), -1, frames.shape[1])
    if bias is None:
        return torch.bmm(each, weight.transpose(1, 2)).flatten(0, 1)
    return torch.baddbmm(bias[:, None], each, weight.transpose(1, 2)).flatten(0, 1)


class _GroupedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, frames: Tensor, weight: Tensor, bias: Tensor | None, bounds: tuple[int, ...]
    ) -> Tensor:
        ctx.save_for_backward(frames, weight)
        ctx.bounds = bounds
        out = frames.new_empty(len(frames), weight.shape[1])
        for g, (start, end) in enumerate(pairwise(bounds)):
            if bias is None:
                torch.mm(frames[start:end], weight[g].t(), out=out[start:end])
            else:
                torch.addmm(bias[g], frames[start:end], weight[g].t(), out=out[start:end])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        frames, weight = ctx.saved_tensors
        needs_frames, needs_weight, needs_bias, _ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # somebody differentiates this again
            d_frames, d_weight, d_bias = projection_gradients(grad, frames, weight, ctx.bounds)
            return d_frames, d_weight, d_bias if needs_bias else None, None
        grad_frames = torch.empty_like(frames) if needs_frames else None
        grad_weight = torch.empty_like(weight) if needs_weight else None
        grad_bias = grad.new_empty(weight.shape[:2]) if needs_bias else None
        for g, (start, end) in enumerate(pairwise(ctx.bounds)):
            if grad_frames is not None:
                torch.mm(grad[start:end], weight[g], out=grad_frames[start:end])
            if grad_weight is not None:
                torch.mm(grad[start:end].t(), frames[start:end], out=grad_weight[g])
            if grad_bias is not None:
                torch.sum(grad[start:end], 0, out=grad_bias[g])
        return grad_frames, grad_weight, grad_bias, None
