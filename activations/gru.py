"""GRU layers with any activation at any gate: a drop-in for torch.nn.GRU, and a stack of them.

- Somebody with a trained `nn.GRU` changes one line: same arguments, outputs, `state_dict` keys,
  packed-sequence semantics and initial distribution (same seed, same weights). A use that cannot
  work here ends in one sentence before anything is computed.
- Everything runs on packed frames, so padding is neither projected nor walked. For rows of equal
  length and for a PackedSequence the packed layout is torch's own and nothing is copied.
- `GRU` is one group, `StackedGRU` many of the same shape, each with its own weights and frames;
  both are the same layers over `activations.kernels.dispatch.layer`.
"""

import numbers
import warnings
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from activations import interop, onnx_layer
from activations.errors import GateswapError
from activations.kernels import dispatch
from activations.kernels.cell import Cell
from activations.kernels.packing import Packing, plain_tensors
from activations.kernels.reference import one_step
from activations.recurrent import (
    SITES,
    Recurrent,
    check_frames,
    check_state,
    final_states,
    under_autocast,
)
from activations.registry import get

__all__ = ["GRU", "SITES", "StackedGRU"]


class GRU(Recurrent):
    """A drop-in for torch.nn.GRU whose three activations can be chosen.

    activation takes tanh's place (the candidate), update_gate and reset_gate the sigmoids'. Each is
    anything `activations.get` understands: a name, a formula's text, a torch function or module.
    Learnable parameters of an activation appear as `candidate_l0`, `update_l0`, `reset_l0` (and
    `…_reverse`), [P], or [P, H] where the formula asks for one value per unit at any of them; the
    weights of an `nn.GRU` load with `load_state_dict` and leave them at their start.
    reset="after" is torch's and cuDNN's GRU, "before" Cho et al.'s (2014).

    Input [T, B, I] ([B, T, I] with batch_first, [T, I] unbatched) or a PackedSequence; h_0
    [L·D, B, H]. Returns what torch.nn.GRU returns: output [T, B, D·H] (or alike) and h_n.

    Weights in 16 bits, and inputs in 16 bits under autocast, are computed with in float32: a
    recurrence in bfloat16 loses its state. What is returned has the type that torch returns.
    Raises InputError for an unknown activation, TypeError and ValueError for sizes that make no
    sense, ValueError for inputs of the wrong shape or type.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        activation: object = "tanh",
        update_gate: object = "sigmoid",
        reset_gate: object = "sigmoid",
        reset: str = "after",
        implementation: str = "auto",
    ) -> None:
        if (
            isinstance(dropout, bool)
            or not isinstance(dropout, numbers.Number)
            or not 0 <= dropout <= 1
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                f"element being zeroed, got {dropout!r}"
            )
        if proj_size != 0:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if dropout and num_layers == 1:
            warnings.warn(
                "dropout acts between layers, and this GRU has only one: it does nothing",
                stacklevel=2,
            )
        super().__init__(
            (),
            input_size,
            hidden_size,
            num_layers,
            bias,
            bidirectional,
            Cell(get(update_gate), get(reset_gate), get(activation), reset),
            implementation,
            device,
            dtype,
        )
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.proj_size = 0

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 - torch.nn.GRU's name
        hx: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
    ) -> tuple[Any, Tensor]:
        """Run the layers; shapes as the class says, the output is packed where the input was.

        lengths [B]: how many frames of each row of a padded input are real, zero allowed; h_n is
        then each row's state after its last one, and the output behind it is zero. The same as a
        PackedSequence, for programs that cannot hold one (ONNX).
        """
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("a PackedSequence has its lengths already; leave lengths out")
            return self._forward_packed(input, hx)
        if not isinstance(input, Tensor):
            return self._forward_unusual(input, hx, lengths)
        if torch._C._get_tracing_state() is not None:
            raise GateswapError(interop.NO_TORCHSCRIPT)
        if self._streams(input, hx, lengths):
            return self._one_step(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"GRU takes [T, B, I] or [T, I], got {list(input.shape)}")
        batched = input.dim() == 3
        frames = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            frames = frames.transpose(0, 1)
        if hx is not None and not batched:
            if hx.dim() != 2:
                raise ValueError(
                    "for an unbatched input the initial state must be "
                    f"[{self._states}, {self.hidden_size}], got {list(hx.shape)}"
                )
            hx = hx.unsqueeze(1)
        T, B, _ = frames.shape
        if T == 0:
            raise ValueError("GRU needs at least one time step, got none")
        frames = frames.flatten(0, 1)
        if lengths is not None and lengths.shape != (B,):
            raise ValueError(f"lengths must be [{B}], got {list(lengths.shape)}")
        if _observed(frames, hx, next(self.parameters())):
            h, h_n = self._run_observed(frames, hx, (T, B), B, lengths=lengths)
        elif lengths is None:
            h, h_n = self._run(frames, _equal_lengths(T, B, frames.device), hx, (T, B))
        else:
            h, h_n = self._run_padded(frames, lengths, hx, (T, B))
        if not batched:
            return h.squeeze(1), h_n.squeeze(1)
        return h.transpose(0, 1) if self.batch_first else h, h_n

    def _streams(self, given: Tensor, hx: Tensor | None, lengths: Tensor | None) -> bool:
        """Whether this is one step of a stream: on the CPU, without gradients, as things are."""
        if torch.is_grad_enabled() or lengths is not None or given.dim() != 3:
            return False
        weight = cast(Tensor, self._parameters["weight_hh_l0"])
        return (
            given.shape[1 if self.batch_first else 0] == 1
            and weight.device.type == "cpu"
            and weight.dtype in (torch.float32, torch.float64)
            and not _observed(given, hx, weight)
            and not under_autocast(given)
            and not torch._C._are_functorch_transforms_active()
            and not dispatch.forward_mode()
        )

    def _one_step(self, given: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
        """A batch of one step, in torch's own operations: kernels first pack their weights.

        The same formulas as the reference's.
        """
        weight = cast(Tensor, self._parameters["weight_hh_l0"])
        frames = given.squeeze(1 if self.batch_first else 0)
        frames = check_frames(frames, self.input_size, weight)
        L, D, B, H = self.num_layers, len(self._suffixes), len(frames), self.hidden_size
        if hx is not None:
            hx = check_state(hx, (L * D, B, H), weight)
        self._require_runnable(weight.dtype)
        dropout = self.dropout if self.training else 0.0
        final: list[Tensor] = []
        for layer in range(L):
            if layer and dropout:
                frames = nn.functional.dropout(frames, dropout)
            states = []
            for suffix in self._suffixes:
                name = f"_l{layer}{suffix}"
                h = frames.new_zeros(B, H) if hx is None else hx[len(final)]
                states.append(self._step(name, frames, h))
                final.append(states[-1])
            frames = states[0] if D == 1 else torch.cat(states, 1)
        return frames.unsqueeze(1 if self.batch_first else 0), torch.stack(final)

    def _step(self, name: str, x: Tensor, h: Tensor) -> Tensor:
        parameters = self._parameters
        values = [parameters.get(site + name) for site in SITES]
        return one_step(
            x,
            h,
            parameters["weight_ih" + name],  # type: ignore[arg-type]
            parameters["weight_hh" + name],  # type: ignore[arg-type]
            parameters["bias_ih" + name] if self.bias else None,
            parameters["bias_hh" + name] if self.bias else None,
            self.cell,
            values,
        )

    def _forward_unusual(self, given: Any, hx: Any, lengths: Any) -> Any:
        """What torch.fx passes through a leaf, and nothing else."""
        from torch.fx import Proxy

        if isinstance(given, Proxy):
            path = given.tracer.path_of_module(self)  # type: ignore[attr-defined]
            options = {} if lengths is None else {"lengths": lengths}
            return given.tracer.create_proxy("call_module", path, (given, hx), options)
        raise TypeError(f"GRU takes a Tensor or a PackedSequence, got {type(given).__name__}")

    def _forward_packed(
        self, packed: PackedSequence, hx: Tensor | None
    ) -> tuple[PackedSequence, Tensor]:
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        if _observed(data, hx, next(self.parameters())):
            return self._packed_observed(packed, hx)
        packing = Packing.from_batch_sizes(batch_sizes)
        if data.dim() != 2 or len(data) != packing.N:
            raise ValueError(
                f"a PackedSequence with batch_sizes of {packing.N} frames in all holds data "
                f"{list(data.shape)}; make it with torch.nn.utils.rnn.pack_padded_sequence"
            )
        if hx is not None and sorted_indices is not None:
            hx = hx.index_select(1, sorted_indices)
        h, h_n = self._run(data, packing, hx, (packing.N,))
        if unsorted_indices is not None:
            h_n = h_n.index_select(1, unsorted_indices)
        return PackedSequence(h, batch_sizes, sorted_indices, unsorted_indices), h_n

    def _run(
        self, frames: Tensor, packing: Packing, hx: Tensor | None, leading: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Check and walk: frames [N, I], hx [L·D, B, H] as laid out -> h, h_n as hx.

        leading: the first axes of h, (N,) or (T, B); the last is D·H.
        """
        weight = next(self.parameters())
        returned = self._returned_type(frames, hx, weight)
        frames = check_frames(frames, self.input_size, weight)
        packing = packing.to(frames.device)
        L, D, B, H = self.num_layers, len(self._suffixes), packing.rows, self.hidden_size
        if hx is not None:
            hx = check_state(hx, (L * D, B, H), weight).reshape(L, 1, D, B, H)
        shape = (*leading, D * H)
        final = []
        with torch.autocast(frames.device.type, enabled=False):
            for layer in range(L):
                if layer and self.dropout and self.training:
                    frames = nn.functional.dropout(frames, self.dropout)
                start = None if hx is None else hx[layer]
                h = self._layer(layer, frames, packing, start, shape)
                final.append(final_states(h, packing, start, D, H).view(D, B, H))
                frames = h.view(packing.N, D * H)
            # neither is a view of anything: both may be edited and detached in place
            if h.shape != shape:
                h = h.view(shape)
                h = h if torch._C._are_functorch_transforms_active() else h.clone()
            return h.to(returned), torch.cat(final).to(returned)

    def _run_padded(
        self, frames: Tensor, lengths: Tensor, hx: Tensor | None, leading: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """`_run` of padded frames [T * B, I] of which only some are real."""
        T, B = leading
        packing = Packing.from_lengths(lengths.detach().to("cpu")[None])
        if packing.T > T:
            raise ValueError(f"lengths must be at most {T}, got {packing.T}")
        packing = packing.to(frames.device)
        padded = frames.view(1, T, B, -1)[:, : packing.T]
        h, h_n = self._run(packing.pack(padded), packing, hx, (packing.N,))
        h = packing.unpack(h)[0]
        return torch.cat([h, h.new_zeros(T - packing.T, *h.shape[1:])]), h_n

    def _packed_observed(
        self, packed: PackedSequence, hx: Tensor | None
    ) -> tuple[PackedSequence, Tensor]:
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        if sorted_indices is not None:
            B = len(sorted_indices)
            hx = None if hx is None else hx.index_select(1, sorted_indices)
        else:
            B = int(batch_sizes[0]) if hx is None else hx.shape[1]
        h, h_n = self._run_observed(data, hx, (len(data),), B, batch_sizes=batch_sizes)
        if unsorted_indices is not None:
            h_n = h_n.index_select(1, unsorted_indices)
        return PackedSequence(h, batch_sizes, sorted_indices, unsorted_indices), h_n

    def _run_observed(
        self,
        frames: Tensor,
        hx: Tensor | None,
        leading: tuple[int, ...],
        B: int,
        *,
        batch_sizes: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`_run` in operators that a tracer, a dispatch mode or a tensor subclass can follow."""
        weight = next(self.parameters())
        returned = self._returned_type(frames, hx, weight)
        frames = check_frames(frames, self.input_size, weight)
        L, D, H = self.num_layers, len(self._suffixes), self.hidden_size
        if hx is not None:
            hx = check_state(hx, (L * D, B, H), weight).reshape(L, 1, D, B, H)
        steps = leading[0] if batch_sizes is None else len(batch_sizes)
        final = []
        for layer in range(L):
            if layer and self.dropout and self.training:
                frames = nn.functional.dropout(frames, self.dropout)
            start = None if hx is None else hx[layer]
            if torch.onnx.is_in_onnx_export():
                if batch_sizes is not None:
                    raise ValueError(
                        "ONNX has no packed sequences; export gru(x, lengths=lengths) instead"
                    )
                frames, h_n = self._onnx_layer(layer, frames, start, B, lengths)
                final.append(h_n)
                continue
            h = self._layer_operator(layer, frames, start, batch_sizes, lengths, steps)
            final.append(_observed_final(h, B, batch_sizes, lengths, start))
            frames = h.flatten(1)
        return frames.view(*leading, D * H).to(returned), torch.cat(final).to(returned)

    def _onnx_layer(
        self, layer: int, frames: Tensor, h0: Tensor | None, B: int, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """A layer while torch.onnx.export looks: frames [T * B, I] -> h [T * B, D·H], h_n."""
        weights = (None if each is None else each[0] for each in self._layer_weights(layer))
        w_ih, b_ih, w_hh, b_hh = weights
        assert w_ih is not None
        assert w_hh is not None
        assert b_hh is not None
        parameters = tuple(each[0] for each in self._activation_parameters(layer, w_hh[None]))
        D, gates, _ = w_hh.shape
        h, h_n = onnx_layer.layer(
            frames.view(-1, B, frames.shape[1]),
            (
                w_ih.view(D, gates, -1),
                None if b_ih is None else b_ih.view(D, gates),
                w_hh,
                b_hh,
            ),
            self.cell,
            parameters,  # type: ignore[arg-type]
            None if h0 is None else h0[0],
            lengths,
        )
        return h.flatten(0, 1), h_n

    def _returned_type(self, frames: Tensor, hx: Tensor | None, weight: Tensor) -> torch.dtype:
        """The type torch.nn.GRU would return."""
        if not under_autocast(frames):
            return weight.dtype
        if frames.device.type == "cuda":
            return torch.get_autocast_dtype("cuda")
        return frames.dtype if hx is None else hx.dtype

    def to_torch(self) -> nn.GRU:
        """A torch.nn.GRU with these weights. Raises GateswapError unless it computes the same."""
        return interop.to_torch(self)

    def __prepare_scriptable__(self) -> nn.GRU:
        """What torch.jit.script compiles in this module's place."""
        if not interop.is_torchs(self.cell):
            raise GateswapError(interop.NO_TORCHSCRIPT)
        return self.to_torch()

    @property
    def qconfig(self) -> None:
        """Set by torch.ao.quantization, which knows no module but torch's own."""
        return None

    @qconfig.setter
    def qconfig(self, _: object) -> None:
        warnings.warn(interop.NOT_QUANTIZED, stacklevel=2)

    @qconfig.deleter
    def qconfig(self) -> None:
        """Nothing was kept."""

    @property
    def _states(self) -> int:
        return self.num_layers * len(self._suffixes)

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """torch.nn.GRU's: for each layer and direction its w_ih, w_hh, b_ih and b_hh."""
        kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.bias else ()))
        return [
            [self.get_parameter(f"{kind}_l{layer}{suffix}") for kind in kinds]
            for layer in range(self.num_layers)
            for suffix in self._suffixes
        ]

    def flatten_parameters(self) -> None:
        """Do nothing: models written for nn.GRU call this; our weights need no flattening."""


class StackedGRU(Recurrent):
    """G GRUs of one shape, each with its own weights, frames and lengths, run as one.

    Parameters have torch.nn.GRU's names and a leading group axis: weight_ih_l0 [G, 3H, I] … and
    activation parameters [G, P] or [G, P, H]. Activations as for `GRU`. There is no dropout between
    layers: it would draw from one generator for all groups, and a group's result must not depend
    on its companions.
    """

    def __init__(
        self,
        groups: int,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        activation: object = "tanh",
        update_gate: object = "sigmoid",
        reset_gate: object = "sigmoid",
        reset: str = "after",
        implementation: str = "auto",
    ) -> None:
        super().__init__(
            (groups,),
            input_size,
            hidden_size,
            num_layers,
            bias,
            bidirectional,
            Cell(get(update_gate), get(reset_gate), get(activation), reset),
            implementation,
            device,
            dtype,
        )
        self.groups = groups

    def forward(
        self, frames: Tensor, packing: Packing, h0: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run every group over its own frames.

        frames [N, I] laid out by packing (G groups of B rows), h0 [G, L·D, B, H]; returns h
        [N, D·H], laid out alike, and h_n [G, L·D, B, H]. Rows of length 0 keep their h0 (or zero).
        Raises ValueError for shapes or types that do not fit.
        """
        if packing.groups != self.groups:
            raise ValueError(f"this stack has {self.groups} groups, its frames {packing.groups}")
        weight = next(self.parameters())
        frames = check_frames(frames, self.input_size, weight)
        packing = packing.to(frames.device)
        L, D, H = self.num_layers, len(self._suffixes), self.hidden_size
        if h0 is not None:
            h0 = check_state(h0, (self.groups, L * D, packing.rows, H), weight)
            h0 = h0.reshape(self.groups, L, D, packing.rows, H).transpose(0, 1)
        final = []
        with torch.autocast(frames.device.type, enabled=False):
            for layer in range(L):
                start = None if h0 is None else h0[layer]
                h = self._layer(layer, frames, packing, start)
                final.append(final_states(h, packing, start, D, H))
                frames = h.flatten(1)
            return frames, torch.stack(final).transpose(0, 1).flatten(1, 2)


_PLAIN = (Tensor, nn.Parameter)


def _observed(*tensors: Tensor | None) -> bool:
    """Whether calls must be operators: somebody traces them, or a tensor is not plain memory."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0:
        return True
    for tensor in tensors:
        if tensor is not None and (type(tensor) not in _PLAIN or tensor.is_meta):
            return True
    return False


def _observed_final(
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


def _equal_lengths(T: int, B: int, device: torch.device) -> Packing:
    if device.type != "cpu":  # within a CUDA graph's capture nothing may be kept
        return Packing.full(1, T, B, device=device)
    return _kept_equal_lengths(T, B)


@lru_cache(maxsize=64)
def _kept_equal_lengths(T: int, B: int) -> Packing:
    """What a stream of equal batches would lay out again and again."""
    with plain_tensors():
        return Packing.full(1, T, B, device="cpu")
