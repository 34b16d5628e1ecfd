"""The layers as operators, where a tracer, a dispatch mode or a tensor subclass looks on.

- One operator a layer (`kernels.operators`), with what surrounds it in operations that hold for any
  number of steps and rows: an exported program is not specialised on an example's.
- While torch.onnx.export looks, a layer is what ONNX has in its place (`onnx_layer`).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from activations import onnx_layer
from activations.arguments import check_frames, check_state, returned_type
from activations.recurrent import Recurrent


def packed(
    gru: Recurrent, given: PackedSequence, hx: Tensor | None
) -> tuple[PackedSequence, Tensor]:
    """The layers over a PackedSequence; what comes back is laid out alike."""
    data, batch_sizes, sorted_indices, unsorted_indices = given
    if sorted_indices is not None:
        B = len(sorted_indices)
        hx = None if hx is None else hx.index_select(1, sorted_indices)
    else:
        B = int(batch_sizes[0]) if hx is None else hx.shape[1]
    h, h_n = run(gru, data, hx, (len(data),), B, batch_sizes=batch_sizes)
    if unsorted_indices is not None:
        h_n = h_n.index_select(1, unsorted_indices)
    return PackedSequence(h, batch_sizes, sorted_indices, unsorted_indices), h_n


def run(
    gru: Recurrent,
    frames: Tensor,
    hx: Tensor | None,
    leading: tuple[int, ...],
    B: int,
    *,
    batch_sizes: Tensor | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The layers over frames [N, I] from hx [L·D, B, H]: h [*leading, D·H] and h_n as hx.

    leading: (T, B), of which row b has lengths[b] frames where lengths [B] are given; or (N,),
    packed by batch_sizes [T].
    """
    weight = next(gru.parameters())
    returned = returned_type(frames, hx, weight)
    frames = check_frames(frames, gru.input_size, weight)
    L, D, H = gru.num_layers, len(gru.suffixes), gru.hidden_size
    if hx is not None:
        hx = check_state(hx, (L * D, B, H), weight).reshape(L, 1, D, B, H)
    if torch.onnx.is_in_onnx_export() and batch_sizes is not None:
        raise ValueError("ONNX has no packed sequences; export gru(x, lengths=lengths) instead")
    steps = leading[0] if batch_sizes is None else len(batch_sizes)
    final = []
    for layer in range(L):
        if layer and gru.dropout and gru.training:
            frames = nn.functional.dropout(frames, gru.dropout)
        start = None if hx is None else hx[layer]
        if torch.onnx.is_in_onnx_export():
            frames, h_n = _onnx_layer(gru, layer, frames, start, B, lengths)
            final.append(h_n)
            continue
        h = gru.layer_operator(layer, frames, start, batch_sizes, lengths, steps)
        final.append(_final(h, B, batch_sizes, lengths, start))
        frames = h.flatten(1)
    return frames.view(*leading, D * H).to(returned), torch.cat(final).to(returned)


def _onnx_layer(
    gru: Recurrent, layer: int, frames: Tensor, h0: Tensor | None, B: int, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """A layer while torch.onnx.export looks: frames [T * B, I] -> h [T * B, D·H], h_n."""
    w_ih, b_ih, w_hh, b_hh = gru.layer_weights(layer)
    parameters = tuple(each[0] for each in gru.activation_parameters(layer, w_hh))
    D, gates, _ = w_hh.shape[1:]
    h, h_n = onnx_layer.layer(
        frames.view(-1, B, frames.shape[1]),
        (
            w_ih[0].view(D, gates, -1),
            None if b_ih is None else b_ih[0].view(D, gates),
            w_hh[0],
            b_hh[0],
        ),
        gru.cell,
        parameters,  # type: ignore[arg-type]
        None if h0 is None else h0[0],
        lengths,
    )
    return h.flatten(0, 1), h_n


def _final(
    h: Tensor, B: int, batch_sizes: Tensor | None, lengths: Tensor | None, h0: Tensor | None
) -> Tensor:
    """Each row's last state [D, B, H] of h [N, D, H], in operations that can be traced."""
    D, H = h.shape[1:]
    if batch_sizes is None and lengths is None:
        steps = h.view(-1, B, D, H)
        return torch.stack([steps[-1, :, 0], steps[0, :, -1]][:D])
    rows = torch.arange(B, device=h.device)
    if batch_sizes is not None:
        batch_sizes = batch_sizes.to(h.device)
        last_step = (batch_sizes[None, :] > rows[:, None]).sum(1) - 1
        last = (batch_sizes.cumsum(0) - batch_sizes)[last_step] + rows
    else:
        assert lengths is not None
        lengths = lengths.to(h.device)
        last = (lengths - 1).clamp(min=0) * B + rows
    states = torch.stack([h[:, 0].index_select(0, last), h[:, -1].index_select(0, rows)][:D])
    if lengths is None:
        return states
    start = states.new_zeros(()) if h0 is None else h0[0]
    return torch.where((lengths == 0)[None, :, None], start, states)
