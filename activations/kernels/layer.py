"""One GRU layer, projection and recurrence, as one differentiable function over compiled kernels.

- First derivatives come from the kernels. Second and higher ones, which are rare, are derived from
  the reference: `_Gradient` is a function of its own, and its backward differentiates the reference
  twice. So nothing is ever dropped from a graph (`create_graph=True`, `torch.func`).
- Both halves are one function because a second derivative needs the layer's input. The projection
  keeps that anyway, while the gates, the largest tensor of a step, are not kept.
- A vmapped layer is a stack: the mapped axis becomes more groups of one call.
- States may be edited in place before backward, as torch's may: the kernel then computes them
  again, which gives the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from activations.kernels import reference
from activations.kernels.cell import Cell, Parameters
from activations.kernels.cpu import projection as cpu_projection
from activations.kernels.cpu import recurrence as cpu_recurrence
from activations.kernels.gpu import projection as gpu_projection
from activations.kernels.gpu import recurrence as gpu_recurrence
from activations.kernels.packing import Packing
from activations.kernels.precision import Precision

Gradients = tuple[Tensor | None, ...]

_RECURRENCE: dict[str, ModuleType] = {"cpu": cpu_recurrence, "gpu": gpu_recurrence}


class Tensors(NamedTuple):
    """A layer's tensors, whose gradients come in this order, too.

    frames [N, I], w_ih [G, D * 3H, I], b_ih [G, D * 3H]; without w_ih the frames are the gates,
    [N, D * 3H] or [N, D, 3H]. The rest as `kernels.dispatch.recurrence` says.
    """

    frames: Tensor
    w_ih: Tensor | None
    b_ih: Tensor | None
    w_hh: Tensor
    b_hh: Tensor
    h0: Tensor | None
    update: Tensor
    reset: Tensor
    candidate: Tensor

    @property
    def parameters(self) -> Parameters:
        """The learnable parameters of the three sites."""
        return self.update, self.reset, self.candidate


@dataclass(frozen=True, eq=False)
class Call:
    """What a layer computes, beside its tensors.

    kernel: "cpu" or "gpu". stacked: whether a group's bits must not depend on its companions' (on
    the GPU torch's own product is faster, and is taken where nobody stands beside it).
    precision: of products, which backward keeps whatever is set in between.
    save: whether a gradient may be asked for.
    shape: of the states, None for [N, D, H].
    """

    packing: Packing
    cell: Cell
    kernel: str
    stacked: bool = True
    precision: Precision = "ieee"
    save: bool = True
    shape: tuple[int, ...] | None = None


def run(call: Call, tensors: Tensors) -> Tensor:
    """Project the frames and run the recurrences; returns every state, h [N, D, H].

    Nothing is checked.
    """
    if torch._C._are_functorch_transforms_active():
        call = replace(call, save=True, shape=None)
    elif not torch.is_grad_enabled() or not any(
        tensor is not None and tensor.requires_grad for tensor in tensors
    ):
        return forward(replace(call, save=False), tensors)[0]
    h, _ = _Layer.apply(call, *tensors)  # type: ignore[no-untyped-call]
    return cast(Tensor, h)


def forward(call: Call, tensors: Tensors) -> tuple[Tensor, Tensor]:
    """`run` without autograd: the states, and what `gradient` needs of this call."""
    frames, w_ih, b_ih, w_hh, b_hh, h0, *_ = tensors
    packing = call.packing
    together: dict[str, Any] = {}
    if w_ih is None:
        gates = frames
    elif _is_one(call, w_ih):
        gates, together = frames, {"by": (w_ih, b_ih)}
    elif call.kernel == "cpu":
        gates = cpu_projection.forward(frames, w_ih, b_ih, packing.bounds, call.precision)
    elif call.stacked:
        frames = frames.resolve_neg().contiguous()
        gates = gpu_projection.product(frames, w_ih, b_ih, packing, call.precision)
    else:
        gates = torch.nn.functional.linear(frames, w_ih[0], None if b_ih is None else b_ih[0])
    h, saved = _RECURRENCE[call.kernel].forward(
        gates, w_hh, b_hh, h0, tensors.parameters, packing, call.cell,
        call.precision, save=call.save, shape=call.shape, **together,
    )  # fmt: skip
    return cast(Tensor, h), cast(Tensor, saved)


def gradient(
    call: Call, d_h: Tensor, h: Tensor, saved: Tensor, tensors: Tensors, *, by_frames: bool = True
) -> Gradients:
    """Gradients by each of the tensors, None for those that are None, without autograd.

    The one by frames, which no first layer needs, only if it is wanted.
    """
    frames, w_ih, b_ih, w_hh, b_hh, h0, *_ = tensors
    first: Gradients = ()
    together: dict[str, Any] = {}
    if w_ih is not None and not by_frames and _is_one(call, w_ih):
        d_w_ih = w_ih.new_empty(w_ih.shape)
        d_b_ih = None if b_ih is None else b_ih.new_empty(b_ih.shape)
        first, together = (None, d_w_ih, d_b_ih), {"by": (frames, d_w_ih, d_b_ih)}
    d_gates, d_w_hh, d_b_hh, d_h0, by_parameters = _RECURRENCE[call.kernel].backward(
        d_h, w_hh, b_hh, h0, tensors.parameters, h, saved, call.packing, call.cell,
        call.precision, **together,
    )  # fmt: skip
    if not first:
        first = _by_projection(call, d_gates, frames, w_ih, b_ih, by_frames=by_frames)
    return *first, d_w_hh, d_b_hh, d_h0, *by_parameters


def _by_projection(
    call: Call,
    d_gates: Tensor,
    frames: Tensor,
    w_ih: Tensor | None,
    b_ih: Tensor | None,
    *,
    by_frames: bool,
) -> Gradients:
    """Gradients by frames, w_ih and b_ih, given those by the gates' inputs [N, D, 3H]."""
    if w_ih is None:
        return d_gates.view(frames.shape), None, None
    d_out, by_bias = d_gates.flatten(1), b_ih is not None
    if call.kernel == "cpu":
        return cpu_projection.backward(
            d_out, frames, w_ih, call.packing.bounds, call.precision,
            by_frames=by_frames, by_bias=by_bias,
        )  # fmt: skip
    if call.stacked:
        return gpu_projection.backward(
            d_out, frames, w_ih, call.packing, call.precision,
            by_frames=by_frames, by_bias=by_bias,
        )  # fmt: skip
    return (
        d_out.mm(w_ih[0]) if by_frames else None,
        d_out.t().mm(frames)[None],
        d_out.sum(0, keepdim=True) if by_bias else None,
    )


def _is_one(call: Call, w_ih: Tensor) -> bool:
    """Whether projection and recurrence are one walk of the kernel."""
    return call.kernel == "cpu" and cpu_recurrence.projects(call.cell, w_ih.shape[2])


def second_gradient(
    d_h: Tensor, tensors: Tensors, by_gradients: Gradients, call: Call
) -> Gradients:
    """Gradients by d_h and by each of the tensors, given those by what `gradient` returns.

    Computed by the reference, and differentiable again.
    """
    given = [tensor for tensor in tensors if tensor is not None]
    cotangents = tuple(
        torch.zeros_like(tensor) if by is None else by
        for tensor, by in zip(tensors, by_gradients, strict=True)
        if tensor is not None
    )

    def gradients(d_h: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        pull = torch.func.vjp(lambda *each: _given_states(each, tensors, d_h, call), *given)[1]
        return cast(tuple[Tensor, ...], pull(d_h))

    by_d_h, *found = torch.func.vjp(gradients, d_h, *given)[1](cotangents)
    return by_d_h, *_in_place_of(tensors, found)


def reference_gradient(d_h: Tensor, tensors: Tensors, call: Call) -> Gradients:
    """`gradient` in plain operations, for a d_h that no kernel can read."""
    with torch.enable_grad():
        given = [each.detach().requires_grad_() for each in tensors if each is not None]
        h = _given_states(given, tensors, d_h, call)
    return _in_place_of(tensors, torch.autograd.grad(h, given, d_h, allow_unused=True))


def states(call: Call, tensors: Tensors) -> Tensor:
    """The states [N, D, H] as the reference computes them."""
    if call.packing.has_spare:
        raise ValueError("frames with spare room have no second derivative")
    frames, w_ih, b_ih, w_hh, b_hh, h0, *_ = tensors
    return reference.layer(
        frames, w_ih, b_ih, w_hh, b_hh, call.packing, call.cell, tensors.parameters, h0
    )


def _given_states(given: Sequence[Tensor], tensors: Tensors, like: Tensor, call: Call) -> Tensor:
    """`states` in the shape of `like`; given: those of the tensors that are there."""
    return states(call, Tensors(*cast(Any, _in_place_of(tensors, given)))).view(like.shape)


def _in_place_of(tensors: tuple[Tensor | None, ...], found: Sequence[Tensor | None]) -> Gradients:
    """One of `found` for each tensor that is there, None for the others."""
    rest = iter(found)
    return tuple(None if tensor is None else next(rest) for tensor in tensors)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, Tensor]:
        call, *tensors = inputs
        return forward(call, Tensors(*tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.call, *tensors = inputs
        h, saved = output
        ctx.mark_non_differentiable(saved)
        ctx.set_materialize_grads(False)
        ctx.witness = None
        if not torch._C._are_functorch_transforms_active():
            # `kept` does not know of edits in place, the witness does
            ctx.witness = h.detach()
            ctx.version, h = ctx.witness._version, h.data
        ctx.save_for_backward(*tensors, h, saved)

    @staticmethod
    def backward(ctx: Any, d_h: Tensor | None, _: Tensor | None) -> Gradients:
        if d_h is None:
            return (None,) * 10
        *given, h, saved = ctx.saved_tensors
        tensors = Tensors(*given)
        if ctx.witness is not None and ctx.witness._version != ctx.version:
            with torch.no_grad():
                h = forward(replace(ctx.call, save=False), tensors)[0]
        if torch._C._functorch.is_legacy_batchedtensor(d_h):  # `is_grads_batched` of autograd.grad
            return None, *reference_gradient(d_h, tensors, ctx.call)
        if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
            return None, *apply_gradient(d_h, tensors, h, saved, ctx.call)
        by_frames = ctx.needs_input_grad[1]
        return None, *gradient(ctx.call, d_h, h, saved, tensors, by_frames=by_frames)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> Any:
        call, *tensors = inputs
        grouped = _group(info.batch_size, in_dims[1:], tuple(tensors))
        call = _repeat(call, info.batch_size)
        h, saved = _Layer.apply(call, *grouped)  # type: ignore[no-untyped-call]
        axis = _RECURRENCE[call.kernel].FRAMES_AXIS
        per_member = (info.batch_size, saved.shape[axis] // info.batch_size)
        h = h.unflatten(0, (info.batch_size, len(h) // info.batch_size))
        return (h, saved.unflatten(axis, per_member)), (0, axis)


def apply_gradient(
    d_h: Tensor, tensors: Tensors, h: Tensor, saved: Tensor, call: Call
) -> Gradients:
    """`gradient` as a function that can be differentiated again."""
    found = _Gradient.apply(call, d_h, h, saved, *tensors)  # type: ignore[no-untyped-call]
    return _in_place_of(tensors, found)


class _Gradient(torch.autograd.Function):
    """`gradient` of those tensors that are there."""

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        call, d_h, h, saved, *tensors = inputs
        found = gradient(call, d_h, h, saved, Tensors(*tensors))
        return tuple(each for each in found if each is not None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _: Any) -> None:
        ctx.call, d_h, _, _, *tensors = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(d_h, *tensors)

    @staticmethod
    def backward(ctx: Any, *by_gradients: Tensor | None) -> Gradients:
        d_h, *given = ctx.saved_tensors
        tensors = Tensors(*given)
        by_tensors = _in_place_of(tensors, cast(Any, by_gradients))
        found = second_gradient(d_h, tensors, by_tensors, ctx.call)
        return None, found[0], None, None, *found[1:]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> Any:
        call, d_h, h, saved, *tensors = inputs
        M, axis = info.batch_size, _RECURRENCE[call.kernel].FRAMES_AXIS
        _, by_d_h, by_h, by_saved, *by_tensors = in_dims
        grouped = _group(M, tuple(by_tensors), tuple(tensors))
        states = (_mapped(each, dim, M).flatten(0, 1) for each, dim in ((d_h, by_d_h), (h, by_h)))
        saved = _mapped(saved, by_saved, M).movedim(0, axis).flatten(axis, axis + 1)
        d_h, h = states
        found = _Gradient.apply(_repeat(call, M), d_h, h, saved, *grouped)  # type: ignore[no-untyped-call]
        split = tuple(each.unflatten(0, (M, len(each) // M)) for each in found)
        return split, (0,) * len(split)


def _group(
    M: int, in_dims: tuple[int | None, ...], tensors: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """Tensors of a mapped layer with the mapped axis made part of their first, groups or frames."""
    return [
        None if tensor is None else _mapped(tensor, dim, M).flatten(0, 1)
        for tensor, dim in zip(tensors, in_dims, strict=False)
    ]


def _mapped(tensor: Tensor, dim: int | None, M: int) -> Tensor:
    """The tensor with the mapped axis in front, though it may not be mapped."""
    return tensor.expand(M, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _repeat(call: Call, M: int) -> Call:
    return replace(call, packing=call.packing.repeat(M), stacked=True, shape=None)


def saved_shape(
    kernel: str, cell: Cell, N: int, D: int, H: int, *, save: bool
) -> tuple[int, int, int]:
    """The shape of `forward`'s second result."""
    shape: tuple[int, int, int] = _RECURRENCE[kernel].saved_shape(cell, N, D, H, save=save)
    return shape
