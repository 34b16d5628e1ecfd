"""GRU layers with any activation at any gate: a drop-in for torch.nn.GRU, and a stack of them.

- Somebody with a trained `nn.GRU` changes one line: same arguments, outputs, `state_dict` keys,
  packed-sequence semantics and initial distribution (same seed, same weights).
- Everything runs on packed frames, so padding is neither projected nor walked. For rows of equal
  length and for a PackedSequence the packed layout is torch's own and nothing is copied.
- `GRU` is one group, `StackedGRU` many of the same shape, each with its own weights and frames;
  both are the same layers over `activations.kernels.dispatch.recurrence`.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from activations.formula.formula import Formula
from activations.kernels import dispatch
from activations.kernels.cell import Cell, Parameters
from activations.kernels.packing import Packing
from activations.kernels.projection import project
from activations.registry import get

SITES = ("update", "reset", "candidate")


class _Layers(nn.Module):
    """Parameters of G groups × L layers × D directions, and the walk through the layers.

    lead is the leading axes of every parameter: () for one group, (G,) for a stack.
    """

    def __init__(
        self,
        lead: tuple[int, ...],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        bidirectional: bool,
        cell: Cell,
        implementation: str,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        for name, size in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
            *(("groups", size) for size in lead),
        ):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if implementation not in dispatch.IMPLEMENTATIONS:
            known = ", ".join(dispatch.IMPLEMENTATIONS)
            raise ValueError(f"no implementation {implementation!r}; there are {known}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.bidirectional = bidirectional
        self.cell = cell
        self.implementation = implementation
        self._lead = lead
        self._suffixes = ("", "_reverse") if bidirectional else ("",)

        H, D = hidden_size, len(self._suffixes)

        def register(name: str, *shape: int) -> None:
            empty = torch.empty(*lead, *shape, device=device, dtype=dtype)
            self.register_parameter(name, nn.Parameter(empty))

        for layer in range(num_layers):
            for suffix in self._suffixes:
                register(f"weight_ih_l{layer}{suffix}", 3 * H, D * H if layer else input_size)
                register(f"weight_hh_l{layer}{suffix}", 3 * H, H)
                if bias:
                    register(f"bias_ih_l{layer}{suffix}", 3 * H)
                    register(f"bias_hh_l{layer}{suffix}", 3 * H)
        self._initial: dict[str, Tensor] = {}  # activation parameters: what they start from
        for layer in range(num_layers):
            for suffix in self._suffixes:
                for site, formula in zip(SITES, cell.formulas, strict=True):
                    if formula.parameters:
                        name = f"{site}_l{layer}{suffix}"
                        self._initial[name] = _initial_values(formula, H)
                        register(name, *self._initial[name].shape)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights from U(-1/√H, 1/√H) as torch does; activation parameters start as given."""
        bound = 1 / math.sqrt(self.hidden_size)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name in self._initial:
                    parameter.copy_(self._initial[name])
                else:
                    parameter.uniform_(-bound, bound)

    @property
    def kernel(self) -> str:
        """What computes these recurrences on the parameters' device: see `dispatch.describe`."""
        weight = next(self.parameters())
        return dispatch.describe(
            self.cell,
            implementation=self.implementation,
            device=weight.device,
            dtype=weight.dtype,
        )

    @property
    def chosen(self) -> str:
        """Which implementation runs these recurrences on the parameters' device: "cpu", "gpu", …"""
        weight = next(self.parameters())
        return dispatch.choose(
            self.cell,
            implementation=self.implementation,
            device=weight.device,
            dtype=weight.dtype,
        )

    def _walk(
        self, frames: Tensor, packing: Packing, h0: Tensor | None, dropout: float
    ) -> tuple[Tensor, Tensor]:
        """Run all layers: frames [N, I], h0 [L, G, D, B, H] -> h [N, D·H], h_n [L, G, D, B, H]."""
        packing = packing.to(frames.device)
        projection = self.chosen
        if projection == "gpu" and not self._lead:
            projection = "reference"  # torch's own product is faster, and nobody stands beside it
        final = []
        for layer in range(self.num_layers):
            if layer and dropout:
                frames = nn.functional.dropout(frames, dropout)
            start = None if h0 is None else h0[layer]
            w_hh = self._directions(f"weight_hh_l{layer}")
            G, D, _, H = w_hh.shape
            if self.bias:
                b_ih = self._directions(f"bias_ih_l{layer}").flatten(1)
                b_hh = self._directions(f"bias_hh_l{layer}")
            else:
                b_ih, b_hh = None, w_hh.new_zeros(G, D, 3 * H)
            w_ih = self._directions(f"weight_ih_l{layer}").flatten(1, 2)
            h = dispatch.recurrence(
                project(frames, w_ih, b_ih, packing, implementation=projection).view(
                    packing.N, D, 3 * H
                ),
                w_hh,
                b_hh,
                packing,
                self.cell,
                self._activation_parameters(layer, w_hh),
                start,
                implementation=self.implementation,
            )
            final.append(_final_states(h, packing, start))
            frames = h.flatten(1)
        return frames, torch.stack(final)

    def _directions(self, name: str) -> Tensor:
        """Both directions' parameter of this name as [G, D, ...]."""
        tensors = [getattr(self, name + suffix) for suffix in self._suffixes]
        if len(tensors) == 1:
            both: Tensor = tensors[0].unsqueeze(len(self._lead))
        else:
            both = torch.stack(tensors, len(self._lead))
        return both if self._lead else both.unsqueeze(0)

    def _activation_parameters(self, layer: int, like: Tensor) -> Parameters:
        """A layer's (update, reset, candidate) parameters, each [G, D, P, K]."""
        G, D = like.shape[:2]
        values = []
        for site in SITES:
            name = f"{site}_l{layer}"
            if name not in self._initial:
                values.append(like.new_empty(G, D, 0, 1))
            elif self._initial[name].dim() == 2:
                values.append(self._directions(name))
            else:
                values.append(self._directions(name).unsqueeze(3))
        update, reset, candidate = values
        return update, reset, candidate

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Let a plain GRU's weights load: if all activation parameters are missing, they stay."""
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        ours = {prefix + name for name in self._initial}
        if ours.isdisjoint(state_dict):
            missing_keys[:] = [key for key in missing_keys if key not in ours]

    def extra_repr(self) -> str:
        """Arguments that differ from their defaults, and always the candidate's activation."""
        parts = [*map(str, self._lead), str(self.input_size), str(self.hidden_size)]
        for name, default in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            if getattr(self, name, default) != default:
                parts.append(f"{name}={getattr(self, name)}")
        parts.append(f"activation={self.cell.candidate.name!r}")
        if self.cell.update.name != "sigmoid":
            parts.append(f"update_gate={self.cell.update.name!r}")
        if self.cell.reset.name != "sigmoid":
            parts.append(f"reset_gate={self.cell.reset.name!r}")
        if self.cell.reset_order != "after":
            parts.append(f"reset={self.cell.reset_order!r}")
        if self.implementation != "auto":
            parts.append(f"implementation={self.implementation!r}")
        return ", ".join(parts)


class GRU(_Layers):
    """A drop-in for torch.nn.GRU whose three activations can be chosen.

    activation takes tanh's place (the candidate), update_gate and reset_gate the sigmoids'. Each is
    anything `activations.get` understands: a name, a formula's text, a torch function or module.
    Learnable parameters of an activation appear as `candidate_l0`, `update_l0`, `reset_l0` (and
    `…_reverse`), [P], or [P, H] where the formula asks for one value per unit at any of them; the
    weights of an `nn.GRU` load with `load_state_dict` and leave them at their start.
    reset="after" is torch's and cuDNN's GRU, "before" Cho et al.'s (2014).

    Input [T, B, I] ([B, T, I] with batch_first, [T, I] unbatched) or a PackedSequence; h_0
    [L·D, B, H]. Returns what torch.nn.GRU returns: output [T, B, D·H] (or alike) and h_n.

    Under autocast it computes in its weights' type: a recurrence in bfloat16 loses its state.
    Raises InputError for an unknown activation, ValueError for sizes that make no sense and for
    inputs of the wrong shape or type.
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
        activation: object = "tanh",
        update_gate: object = "sigmoid",
        reset_gate: object = "sigmoid",
        reset: str = "after",
        implementation: str = "auto",
    ) -> None:
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is a probability between 0 and 1, got {dropout}")
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

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 - torch.nn.GRU's name
        hx: Tensor | None = None,
    ) -> tuple[Any, Tensor]:
        """Run the layers; shapes as the class says, the output is packed where the input was."""
        if isinstance(input, PackedSequence):
            packing = Packing.from_batch_sizes(input.batch_sizes)
            if hx is not None and input.sorted_indices is not None:
                hx = hx.index_select(1, input.sorted_indices)
            data, h_n = self._run(input.data, packing, hx)
            if input.unsorted_indices is not None:
                h_n = h_n.index_select(1, input.unsorted_indices)
            return (
                PackedSequence(
                    data, input.batch_sizes, input.sorted_indices, input.unsorted_indices
                ),
                h_n,
            )

        if input.dim() not in (2, 3):
            raise ValueError(f"GRU takes [T, B, I] or [T, I], got {list(input.shape)}")
        batched = input.dim() == 3
        frames = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            frames = frames.transpose(0, 1)
        if hx is not None and not batched:
            hx = hx.unsqueeze(1)
        T, B, _ = frames.shape
        if T == 0:
            raise ValueError("GRU needs at least one time step, got none")
        packing = Packing.full(1, T, B, device=frames.device)
        h, h_n = self._run(frames.flatten(0, 1), packing, hx)
        output = h.view(T, B, h.shape[1])
        if not batched:
            return output.squeeze(1), h_n.squeeze(1)
        return output.transpose(0, 1) if self.batch_first else output, h_n

    def _run(self, frames: Tensor, packing: Packing, hx: Tensor | None) -> tuple[Tensor, Tensor]:
        """Check and walk: frames [N, I], hx [L·D, B, H] as laid out -> h [N, D·H], h_n as hx."""
        frames = _check_frames(frames, self.input_size, next(self.parameters()))
        L, D, H = self.num_layers, len(self._suffixes), self.hidden_size
        if hx is not None:
            _check_state(hx, (L * D, packing.rows, H), frames)
            hx = hx.reshape(L, 1, D, packing.rows, H)
        dropout = self.dropout if self.training else 0.0
        with torch.autocast(frames.device.type, enabled=False):
            h, h_n = self._walk(frames, packing, hx, dropout)
        return h, h_n.view(L * D, packing.rows, H)

    def flatten_parameters(self) -> None:
        """Do nothing: models written for nn.GRU call this; our weights need no flattening."""


class StackedGRU(_Layers):
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
        frames = _check_frames(frames, self.input_size, next(self.parameters()))
        L, D, H = self.num_layers, len(self._suffixes), self.hidden_size
        if h0 is not None:
            _check_state(h0, (self.groups, L * D, packing.rows, H), frames)
            h0 = h0.reshape(self.groups, L, D, packing.rows, H).transpose(0, 1)
        with torch.autocast(frames.device.type, enabled=False):
            h, h_n = self._walk(frames, packing, h0, 0.0)
        return h, h_n.transpose(0, 1).flatten(1, 2)


def _initial_values(formula: Formula, hidden_size: int) -> Tensor:
    """What a formula's parameters start from: [P], or [P, H] where any is learnt per unit."""
    initial = torch.tensor(formula.initial, dtype=torch.float64)
    if any(parameter.scope == "unit" for parameter in formula.parameters):
        return initial[:, None].repeat(1, hidden_size)
    return initial


def _check_frames(frames: Tensor, input_size: int, weight: Tensor) -> Tensor:
    """Return frames [N, I], in the weights' type under autocast; ValueError if they do not fit."""
    if torch.is_autocast_enabled(frames.device.type):
        frames = frames.to(weight.dtype)
    if frames.dim() != 2 or frames.shape[1] != input_size:
        raise ValueError(f"the input's last axis must be {input_size}, got {frames.shape[-1]}")
    if frames.dtype != weight.dtype or frames.device != weight.device:
        raise ValueError(
            f"the input is {frames.dtype} on {frames.device}, "
            f"but the weights are {weight.dtype} on {weight.device}"
        )
    return frames


def _check_state(h0: Tensor, shape: tuple[int, ...], frames: Tensor) -> None:
    """Raise ValueError where an initial state has another shape or type than it must."""
    if tuple(h0.shape) != shape:
        raise ValueError(f"the initial state must be {list(shape)}, got {list(h0.shape)}")
    if h0.dtype != frames.dtype or h0.device != frames.device:
        raise ValueError(
            f"the initial state is {h0.dtype} on {h0.device}, "
            f"but the input is {frames.dtype} on {frames.device}"
        )


def _final_states(h: Tensor, packing: Packing, h0: Tensor | None) -> Tensor:
    """Each row's last state, [G, D, B, H], from h [N, D, H]; a row without frames has h0's."""
    N, D, H = h.shape
    G, B = packing.groups, packing.rows
    if N == 0:
        return h.new_zeros(G, D, B, H) if h0 is None else h0
    if packing.in_order:
        steps = h.view(G, packing.T, B, D, H)
        return torch.stack([steps[:, -1, :, 0], steps[:, 0, :, -1]][:D], 1)
    last = torch.stack([packing.last_frames, packing.first_frames][:D], 1)  # [G, D, B]
    index = last.clamp(min=0) * D + torch.arange(D, device=h.device)[:, None]
    states = h.reshape(N * D, H).index_select(0, index.flatten()).view(G, D, B, H)
    if not packing.has_empty:
        return states
    empty = (packing.lengths == 0)[:, None, :, None]
    return torch.where(empty, states.new_zeros(()) if h0 is None else h0, states)
