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
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from activations import interop, stream, traced
from activations.arguments import check_frames, check_state, is_observed, returned_type
from activations.errors import GateswapError
from activations.kernels.cell import SITES, Cell
from activations.kernels.packing import Packing, plain_tensors
from activations.recurrent import Recurrent, final_states
from activations.registry import get

__all__ = ["GRU", "SITES", "StackedGRU"]

_LARGE = 1 << 26  # steps or rows: a layout takes 16 bytes of each


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
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
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
        if lengths is None and stream.is_step(self, input, hx):
            return stream.step(self, input, hx)
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
        if is_observed(frames, hx, next(self.parameters())):
            h, h_n = traced.run(self, frames, hx, (T, B), B, lengths=lengths)
        elif lengths is None:
            if max(T, B) >= _LARGE:
                self._ask_for_memory(T * B)
            h, h_n = self._run(frames, _equal_lengths(T, B, frames.device), hx, (T, B))
        else:
            h, h_n = self._run_padded(frames, lengths, hx, (T, B))
        if not batched:
            return h.squeeze(1), h_n.squeeze(1)
        return h.transpose(0, 1) if self.batch_first else h, h_n

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
        if is_observed(data, hx, next(self.parameters())):
            return traced.packed(self, packed, hx)
        if data.dim() != 2:
            raise ValueError(f"a PackedSequence's data must be [N, I], got {list(data.shape)}")
        packing = Packing.from_batch_sizes(batch_sizes, len(data))
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
        returned = returned_type(frames, hx, weight)
        frames = check_frames(frames, self.input_size, weight)
        packing = packing.to(frames.device)
        L, D, B, H = self.num_layers, len(self.suffixes), packing.rows, self.hidden_size
        if hx is not None:
            hx = check_state(hx, (L * D, B, H), weight).reshape(L, 1, D, B, H)
        shape = (*leading, D * H)
        final = []
        with torch.autocast(frames.device.type, enabled=False):
            for layer in range(L):
                if layer and self.dropout and self.training:
                    frames = nn.functional.dropout(frames, self.dropout)
                start = None if hx is None else hx[layer]
                h = self.run_layer(layer, frames, packing, start, shape)
                final.append(final_states(h, packing, start, D, H).view(D, B, H))
                frames = h.view(packing.N, D * H)
            # neither is a view of anything: both may be edited and detached in place
            if h.shape != shape:
                h = h.view(shape)
                h = h if torch._C._are_functorch_transforms_active() else h.clone()
            return h.to(returned), torch.cat(final).to(returned)

    def _ask_for_memory(self, frames: int) -> None:
        """Raise what the allocator raises, where a batch's gates are more than it can have.

        The layout of a batch that never fits would be written first, and take the machine with it.
        """
        weight: Tensor = self.weight_ih_l0  # type: ignore[assignment]
        weight.new_empty(frames, len(self.suffixes) * len(weight))

    def _run_padded(
        self, frames: Tensor, lengths: Tensor, hx: Tensor | None, leading: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """`_run` of padded frames [T * B, I] of which only some are real."""
        T, B = leading
        lengths = lengths.detach().to("cpu")
        if len(lengths) and int(lengths.max()) > T:
            raise ValueError(f"lengths must be at most {T}, got {int(lengths.max())}")
        packing = Packing.from_lengths(lengths[None])
        packing = packing.to(frames.device)
        padded = frames.view(1, T, B, -1)[:, : packing.T]
        h, h_n = self._run(packing.pack(padded), packing, hx, (packing.N,))
        h = packing.unpack(h)[0]
        return torch.cat([h, h.new_zeros(T - packing.T, *h.shape[1:])]), h_n

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
        return self.num_layers * len(self.suffixes)

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """torch.nn.GRU's: for each layer and direction its w_ih, w_hh, b_ih and b_hh."""
        kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.bias else ()))
        return [
            [getattr(self, f"{kind}_l{layer}{suffix}") for kind in kinds]
            for layer in range(self.num_layers)
            for suffix in self.suffixes
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
        """Run every group over its own frames [N, I], laid out by packing (G groups of B rows).

        Returns h [N, D·H], laid out alike, and h_n [G, L·D, B, H], as h0; rows of length 0 keep
        their h0 (or zero). Raises ValueError for shapes or types that do not fit.
        """
        final: list[Tensor] = []
        h = self.states(frames, packing, h0, final)
        return h, torch.stack(final).transpose(0, 1).flatten(1, 2)

    def states(
        self, frames: Tensor, packing: Packing, h0: Tensor | None = None,
        final: list[Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """The h of `forward`: h_n takes a fiftieth of a training step. final: gets its parts."""
        if packing.groups != self.groups:
            raise ValueError(f"this stack has {self.groups} groups, its frames {packing.groups}")
        weight = next(self.parameters())
        frames = check_frames(frames, self.input_size, weight)
        packing = packing.to(frames.device)
        L, D, H = self.num_layers, len(self.suffixes), self.hidden_size
        if h0 is not None:
            h0 = check_state(h0, (self.groups, L * D, packing.rows, H), weight)
            h0 = h0.reshape(self.groups, L, D, packing.rows, H).transpose(0, 1)
        observed = is_observed(frames, h0, weight)
        if observed and packing.has_spare:
            raise ValueError("frames with spare room cannot be traced; give their lengths only")
        # where somebody looks on, a layer is an operator, which no autocast reaches
        with nullcontext() if observed else torch.autocast(frames.device.type, enabled=False):
            for layer in range(L):
                start = None if h0 is None else h0[layer]
                if observed:
                    h = self.layer_operator(layer, frames, start, None, packing.lengths, packing.T)
                else:
                    h = self.run_layer(layer, frames, packing, start)
                if final is not None:
                    final.append(final_states(h, packing, start, D, H))
                frames = h.flatten(1)
            return frames

    def group(self, number: int) -> GRU:
        """A GRU of its own with copies of one group's weights; it takes rows first, [B, T, I].

        Raises IndexError for a group that does not exist.
        """
        if not 0 <= number < self.groups:
            raise IndexError(f"this stack has groups 0 to {self.groups - 1}, not {number}")
        weight = next(self.parameters())
        on_gpu = [weight.device] if weight.is_cuda else []
        with torch.random.fork_rng(devices=on_gpu):  # its own initial weights are overwritten
            gru = GRU(
                self.input_size,
                self.hidden_size,
                self.num_layers,
                self.bias,
                batch_first=True,
                bidirectional=self.bidirectional,
                device=weight.device,
                dtype=weight.dtype,
                activation=self.cell.candidate,
                update_gate=self.cell.update,
                reset_gate=self.cell.reset,
                reset=self.cell.reset_order,
                implementation=self.implementation,
            )
        gru.load_state_dict({name: value[number] for name, value in self.state_dict().items()})
        return gru.train(self.training)


def _equal_lengths(T: int, B: int, device: torch.device) -> Packing:
    if device.type != "cpu":  # within a CUDA graph's capture nothing may be kept
        return Packing.full(1, T, B, device=device)
    return _kept_equal_lengths(T, B)


@lru_cache(maxsize=64)
def _kept_equal_lengths(T: int, B: int) -> Packing:
    """What a stream of equal batches would lay out again and again."""
    with plain_tensors():
        return Packing.full(1, T, B, device="cpu")
