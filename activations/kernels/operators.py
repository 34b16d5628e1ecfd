"""A layer as an operator of torch's dispatcher: for torch.compile, torch.export, FakeTensor, meta.

- Eager calls go to `kernels.dispatch.layer`, which is faster by the dispatcher's price. Where
  somebody looks on (a tracer, a dispatch mode, a tensor subclass) a call has to be an operator with
  a fake kernel, and this is it.
- An operator's arguments are tensors, numbers and text, so a cell travels as its formulas' text.
- What runs is chosen when it runs: an exported program may be loaded on another machine.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from activations.formula.parser import parse
from activations.kernels import dispatch
from activations.kernels import layer as layers
from activations.kernels.cell import Cell
from activations.kernels.packing import Packing


def text_of(cell: Cell) -> str:
    """A cell as text that `cell_of` reads back."""
    return json.dumps([*(formula.text for formula in cell.formulas), cell.reset_order])


@lru_cache(maxsize=256)
def cell_of(text: str) -> Cell:
    """The cell whose text that is."""
    *formulas, reset_order = json.loads(text)
    update, reset, candidate = map(parse, formulas)
    return Cell(update, reset, candidate, reset_order)


@torch.library.custom_op("gateswap::gru_layer", mutates_args=())
def gru_layer(
    frames: Tensor,
    w_ih: Tensor,
    b_ih: Tensor | None,
    w_hh: Tensor,
    b_hh: Tensor,
    h0: Tensor | None,
    update: Tensor,
    reset: Tensor,
    candidate: Tensor,
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    steps: int,
    cell: str,
    implementation: str,
    save: bool,
) -> tuple[Tensor, Tensor]:
    """Run a layer of G groups that are laid out alike; returns h [N, D, H] and what is saved.

    frames [N, I] of G groups: [steps, B] each, or packed by batch_sizes [steps], or [steps, B] of
    which row b has lengths[b] frames (h is zero behind them), or packed by each group's lengths
    [G, B] as `Packing.from_lengths` says. The other tensors as
    `kernels.dispatch.layer` says; cell as `text_of` writes it; save: whether a gradient follows.
    """
    tensors = layers.Tensors(frames, w_ih, b_ih, w_hh, b_hh, h0, update, reset, candidate)
    call, inside = _call(tensors, batch_sizes, lengths, steps, cell, implementation, save)
    if inside is not None:
        tensors = tensors._replace(frames=frames.index_select(0, inside))
    with torch.no_grad():
        if call.kernel == "reference":
            h = layers.states(call, tensors)
            saved = h.new_empty(0)
        else:
            with torch.cuda.device_of(frames):  # type: ignore[no-untyped-call]
                h, saved = layers.forward(call, tensors)
    if inside is not None:
        N = len(frames)
        h = _padded(h, inside, N)
        if saved.numel():
            room = saved.new_zeros(_saved_shape(call, N, *h.shape[1:]))
            room.view(-1)[: saved.numel()] = saved.view(-1)
            saved = room
    return h, saved


@gru_layer.register_fake
def _(
    frames: Tensor, w_ih: Tensor, b_ih: Any, w_hh: Tensor, b_hh: Tensor, h0: Any, update: Tensor,
    reset: Tensor, candidate: Tensor, batch_sizes: Any, lengths: Any, steps: int, cell: str,
    implementation: str, save: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    N, D, H = frames.shape[0], w_hh.shape[1], w_hh.shape[3]
    kernel = _choose(cell, implementation, frames)
    shape = _shape_saved(kernel, cell, N, D, H) if save and kernel != "reference" else None
    return frames.new_empty(N, D, H), frames.new_empty(shape or _nothing_saved(kernel, cell, D, H))


@torch.library.custom_op("gateswap::gru_layer_backward", mutates_args=())
def gru_layer_backward(
    d_h: Tensor,
    h: Tensor,
    saved: Tensor,
    frames: Tensor,
    w_ih: Tensor,
    b_ih: Tensor | None,
    w_hh: Tensor,
    b_hh: Tensor,
    h0: Tensor | None,
    update: Tensor,
    reset: Tensor,
    candidate: Tensor,
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    steps: int,
    cell: str,
    implementation: str,
) -> list[Tensor]:
    """Gradients by the tensors of `gru_layer` that are there, from frames to candidate."""
    tensors = layers.Tensors(frames, w_ih, b_ih, w_hh, b_hh, h0, update, reset, candidate)
    call, inside = _call(tensors, batch_sizes, lengths, steps, cell, implementation, True)
    N = len(frames)
    if inside is not None:
        d_h, h, frames = (each.index_select(0, inside) for each in (d_h, h, frames))
        tensors = tensors._replace(frames=frames)
        if saved.numel():
            shape = _saved_shape(call, call.packing.N, *h.shape[1:])
            saved = saved.reshape(-1)[: shape[0] * shape[1] * shape[2]].view(shape)
    if call.kernel == "reference":
        # inside an operator this thread knows no autograd
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(layers.reference_gradient, d_h, tensors, call).result()
    else:
        with torch.cuda.device_of(frames):  # type: ignore[no-untyped-call]
            found = layers.gradient(call, d_h, h, saved, tensors)
    present = [each for each, tensor in zip(found, tensors, strict=True) if tensor is not None]
    filled = [
        torch.zeros_like(tensor) if each is None else each.contiguous()
        for each, tensor in zip(present, (t for t in tensors if t is not None), strict=True)
    ]
    if inside is not None:
        filled[0] = _padded(filled[0], inside, N)
    return filled


@gru_layer_backward.register_fake
def _(
    d_h: Tensor, h: Tensor, saved: Tensor, frames: Tensor, w_ih: Tensor, b_ih: Any, w_hh: Tensor,
    b_hh: Tensor, h0: Any, update: Tensor, reset: Tensor, candidate: Tensor, batch_sizes: Any,
    lengths: Any, steps: int, cell: str, implementation: str,
) -> list[Tensor]:  # fmt: skip
    tensors = layers.Tensors(frames, w_ih, b_ih, w_hh, b_hh, h0, update, reset, candidate)
    return [each.new_empty(each.shape) for each in tensors if each is not None]


def _setup_layer(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    tensors, layout, ctx.rest = inputs[:9], inputs[9:11], inputs[11:14]
    h, saved = output
    ctx.mark_non_differentiable(saved)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, *layout, h, saved)


def _layer_gradient(ctx: Any, d_h: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if d_h is None:
        return (None,) * 15
    *tensors, batch_sizes, lengths, h, saved = ctx.saved_tensors
    found = iter(gru_layer_backward(d_h, h, saved, *tensors, batch_sizes, lengths, *ctx.rest))
    return *(None if each is None else next(found) for each in tensors), *(None,) * 6


def _setup_gradient(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    d_h, _, _, *tensors = inputs[:12]
    ctx.rest = inputs[14:]
    ctx.save_for_backward(d_h, *tensors, *inputs[12:14])


def _second_gradient(ctx: Any, by_gradients: list[Tensor]) -> tuple[Tensor | None, ...]:
    d_h, *inputs, batch_sizes, lengths = ctx.saved_tensors
    tensors = layers.Tensors(*inputs)
    steps, cell, implementation = ctx.rest
    call, inside = _call(tensors, batch_sizes, lengths, steps, cell, implementation, True)
    given = iter(by_gradients)
    by_tensors = [None if each is None else next(given) for each in tensors]
    if inside is not None:  # of the real frames alone
        d_h, frames = d_h.index_select(0, inside), tensors.frames.index_select(0, inside)
        tensors = tensors._replace(frames=frames)
        by_frames = by_tensors[0]
        by_tensors[0] = None if by_frames is None else by_frames.index_select(0, inside)
    by_d_h, *found = layers.second_gradient(d_h, tensors, tuple(by_tensors), call)
    if inside is not None:
        by_d_h, found[0] = (
            None if each is None else _padded(each, inside, len(inputs[0]))
            for each in (by_d_h, found[0])
        )
    return by_d_h, None, None, *found, *(None,) * 5


gru_layer.register_autograd(_layer_gradient, setup_context=_setup_layer)
gru_layer_backward.register_autograd(_second_gradient, setup_context=_setup_gradient)


@register_flop_formula(torch.ops.gateswap.gru_layer)
def _flops(
    frames: Any, w_ih: Any, b_ih: Any, w_hh: Any, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    """Of the products, as FlopCounterMode counts them: twice the multiplications."""
    per_frame: int = w_ih[1] * w_ih[2] + w_hh[1] * w_hh[2] * w_hh[3]
    return 2 * int(frames[0]) * per_frame


@register_flop_formula(torch.ops.gateswap.gru_layer_backward)
def _backward_flops(
    d_h: Any, h: Any, saved: Any, frames: Any, w_ih: Any, b_ih: Any, w_hh: Any, *_: Any,
    out_shape: Any = None, **__: Any,
) -> int:  # fmt: skip
    return 2 * _flops(frames, w_ih, b_ih, w_hh)


def _call(
    tensors: layers.Tensors,
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    steps: int,
    cell: str,
    implementation: str,
    save: bool,
) -> tuple[layers.Call, Tensor | None]:
    """The call, and which of the frames given are real, [n] (None: all).

    Raises as `kernels.dispatch.layer`, before a kernel sees anything.
    """
    frames = tensors.frames
    G, N = len(tensors.w_hh), len(frames)
    rows = N // (G * steps) if steps > 0 else 0
    inside = None
    if batch_sizes is not None:
        packing = Packing.from_batch_sizes(batch_sizes, N // G)
    elif lengths is not None and lengths.dim() == 2:
        packing = Packing.from_lengths(lengths.to("cpu", torch.int64))
    elif lengths is None:
        packing = Packing.full(1, max(steps, 0), rows, device=frames.device)
    else:
        lengths = lengths.to("cpu", torch.int64)
        if len(lengths) != rows or (rows and int(lengths.max()) > steps):
            raise ValueError(f"lengths must be {rows} numbers of at most {steps}")
        packing = Packing.from_lengths(lengths[None])
        padded = torch.arange(steps * rows).view(1, steps, rows, 1)
        inside = packing.pack(padded[:, : packing.T]).flatten()
        inside = (inside + torch.arange(G)[:, None] * steps * rows).flatten().to(frames.device)
    packing = packing if packing.groups == G else packing.repeat(G)
    if inside is None and packing.N != N:
        raise ValueError(f"{packing.N} frames are laid out, {N} are given")
    chosen = _choose(cell, implementation, frames)
    read = cell_of(cell)
    if inside is not None:  # as many as will be taken, without the memory
        tensors = tensors._replace(frames=frames[:1].expand(packing.N, -1))
    dispatch.check_layer(tensors, packing, read)
    packing = packing.to(frames.device)
    precision = dispatch.precision_of(chosen, tensors.w_hh.shape[-1], frames.device)
    return layers.Call(packing, read, chosen, G > 1, precision, save), inside


def _padded(real: Tensor, inside: Tensor, N: int) -> Tensor:
    """Zeros [N, …] with the real frames in their places `inside`."""
    return real.new_zeros(N, *real.shape[1:]).index_copy(0, inside, real)


def _choose(cell: str, implementation: str, frames: Tensor) -> str:
    return dispatch.choose(
        cell_of(cell), implementation=implementation, device=frames.device, dtype=frames.dtype
    )


def _saved_shape(call: layers.Call, N: int, D: int, H: int) -> tuple[int, int, int]:
    return layers.saved_shape(call.kernel, call.cell, N, D, H, save=True)


def _shape_saved(kernel: str, cell: str, N: int, D: int, H: int) -> tuple[int, int, int]:
    return layers.saved_shape(kernel, cell_of(cell), N, D, H, save=True)


def _nothing_saved(kernel: str, cell: str, D: int, H: int) -> tuple[int, ...]:
    if kernel == "reference":
        return (0,)
    return layers.saved_shape(kernel, cell_of(cell), 0, D, H, save=False)
