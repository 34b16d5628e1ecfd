"""The input projection of a stack on the GPU: every group's frames by its own weights, one launch.

- Groups have different numbers of frames, which the host need not know: a grid covers the largest
  group's room, and a program behind its group's real frames ends at once.
- All sums are in an order of the group's own, so that its numbers do not depend on its companions;
  torch's batched products choose a kernel by the number of groups.
- Spare frames (Packing.with_room) are neither read nor written: there the result is undefined.
"""

from typing import Any

import torch
from torch import Tensor

from activations.kernels.gpu.tiles import TOTAL_TILES, chunks, gradient_tiles, product_tiles
from activations.kernels.packing import Packing
from activations.kernels.precision import precision
from activations.kernels.reference import projection_gradients


def project(frames: Tensor, weight: Tensor, bias: Tensor | None, packing: Packing) -> Tensor:
    """Multiply each group's frames by its weights, differentiably in all three.

    frames [N, I], weight [G, O, I], bias [G, O] or None -> [N, O]. float32; products in the
    precision that torch is set to.
    Raises ValueError for tensors that do not fit: a kernel would read beyond them.
    """
    G, outputs, inputs = weight.shape
    if frames.shape != (packing.N, inputs) or packing.groups != G:
        raise ValueError(
            f"frames must be [{packing.N}, {inputs}] in {packing.groups} groups, "
            f"got {list(frames.shape)} and weights of {G}"
        )
    if bias is not None and bias.shape != (G, outputs):
        raise ValueError(f"bias must be [{G}, {outputs}], got {list(bias.shape)}")
    for tensor in (frames, weight, *([] if bias is None else [bias])):
        if tensor.dtype != torch.float32 or tensor.device != packing.starts.device:
            raise ValueError(
                f"expected float32 on {packing.starts.device}, got {tensor.dtype} on "
                f"{tensor.device}"
            )
    # Triton launches on the current device
    with torch.cuda.device_of(frames):  # type: ignore[no-untyped-call]
        projected: Tensor = _Projection.apply(  # type: ignore[no-untyped-call]
            frames, weight, bias, packing
        )
    return projected


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, frames: Tensor, weight: Tensor, bias: Tensor | None, packing: Packing
    ) -> Tensor:
        frames = frames.contiguous()
        ctx.save_for_backward(frames, weight)
        ctx.call = packing, precision()
        return product(frames, weight, bias, *ctx.call)

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        frames, weight = ctx.saved_tensors
        packing, precision = ctx.call
        needs_frames, needs_weight, needs_bias, _ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # somebody differentiates this again
            if packing.has_spare:
                raise ValueError("frames with spare room have no second derivative")
            d_frames, d_weight, d_bias = projection_gradients(d_out, frames, weight, packing.bounds)
            return d_frames, d_weight, d_bias if needs_bias else None, None
        return *backward(
            d_out, frames, weight, packing, precision,
            by_frames=needs_frames, by_weight=needs_weight or needs_bias, by_bias=needs_bias,
        ), None  # fmt: skip


def backward(
    d_out: Tensor,
    frames: Tensor,
    weight: Tensor,
    packing: Packing,
    precision: str,
    *,
    by_frames: bool,
    by_weight: bool = True,
    by_bias: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients by frames, weight and bias, each where it is wanted."""
    d_out, frames = (x.resolve_neg().contiguous() for x in (d_out, frames))
    d_frames = None
    if by_frames:
        d_frames = product(d_out, weight.transpose(1, 2), None, packing, precision)
    d_weight = d_bias = None
    if by_weight:
        d_weight, d_bias = _weight_gradients(d_out, frames, weight, packing, precision)
    return d_frames, d_weight, d_bias if by_bias else None


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None, packing: Packing, precision: str
) -> Tensor:
    """Multiply each group's x [N, K] by its weight [G, J, K] transposed, plus bias [G, J]: [N, J].

    weight may lie in any order (a transposed view costs no copy).
    """
    from activations.kernels.gpu import projection_kernels

    J, K = weight.shape[1:]
    out = x.new_empty(packing.N, J)
    blocks = product_tiles(K, J, precision)
    programs = -(-packing.room // blocks["BLOCK_F"]) * -(-J // blocks["BLOCK_J"])
    if programs:
        projection_kernels.grouped_product[(programs, packing.groups)](
            x, weight, weight if bias is None else bias.contiguous(), out,
            packing.starts.contiguous(), packing.T, K, J, *weight.stride(),
            HAS_BIAS=bias is not None, PRECISION=precision, **blocks,
        )  # fmt: skip
    return out


def _weight_gradients(
    d_out: Tensor, frames: Tensor, weight: Tensor, packing: Packing, precision: str
) -> tuple[Tensor, Tensor]:
    """d_weight [G, O, I] and d_bias [G, O]."""
    from activations.kernels.gpu import projection_kernels

    G, O, I = weight.shape  # noqa: E741
    blocks = gradient_tiles(O, I)
    programs = -(-O // blocks["BLOCK_O"]) * -(-I // blocks["BLOCK_I"])
    parts = chunks(programs)
    d_weight, d_bias = frames.new_empty(parts, G, O, I), frames.new_empty(parts, G, O)
    projection_kernels.grouped_weight_gradients[(programs, parts, G)](
        d_out, frames, d_weight, d_bias, packing.starts.contiguous(), packing.T, I, O,
        PRECISION=precision, **blocks,
    )  # fmt: skip
    return total(d_weight), total(d_bias)


def total(partial: Tensor) -> Tensor:
    """Add up partial sums [parts, …], the first part first."""
    from activations.kernels.gpu import gradient_kernels

    parts = partial.shape[0]
    if parts == 1:
        return partial[0]
    out = torch.empty_like(partial[0])
    gradient_kernels.sum_chunks[(-(-out.numel() // TOTAL_TILES["BLOCK"]),)](
        partial, out, out.numel(), parts, **TOTAL_TILES
    )
    return out
