"""What every GRU module here is made of: its parameters, and the walk through its layers.

- Names, order, initial distribution and `state_dict` keys of the weights are torch.nn.GRU's: the
  same seed gives the same weights.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from activations.arguments import computed_in
from activations.formula.formula import Formula
from activations.kernels import dispatch, operators
from activations.kernels.cell import SITES, Cell, Parameters
from activations.kernels.operators import text_of
from activations.kernels.packing import Packing
from activations.kernels.precision import Precision


class Recurrent(nn.Module):
    """Parameters of G groups × L layers × D directions, and the walk through the layers.

    lead is the leading axes of every parameter: () for one group, (G,) for a stack.
    """

    batch_first = False
    dropout = 0.0  # between layers

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
            if not isinstance(size, int) or isinstance(size, bool):
                raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
            if size < 1:
                raise ValueError(f"{name} must be greater than zero, got {size}")
        if not isinstance(bias, bool):
            raise TypeError(f"bias should be of type bool, got: {type(bias).__name__}")
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
        self._runnable: tuple[str, torch.dtype] | None = None
        self._cell_text = text_of(cell)
        self.suffixes = ("", "_reverse") if bidirectional else ("",)

        H, D = hidden_size, len(self.suffixes)

        def register(name: str, *shape: int) -> None:
            empty = torch.empty(*lead, *shape, device=device, dtype=dtype)
            self.register_parameter(name, nn.Parameter(empty))

        for layer in range(num_layers):
            for suffix in self.suffixes:
                register(f"weight_ih_l{layer}{suffix}", 3 * H, D * H if layer else input_size)
                register(f"weight_hh_l{layer}{suffix}", 3 * H, H)
                if bias:
                    register(f"bias_ih_l{layer}{suffix}", 3 * H)
                    register(f"bias_hh_l{layer}{suffix}", 3 * H)
        self._initial: dict[str, Tensor] = {}  # activation parameters: what they start from
        for layer in range(num_layers):
            for suffix in self.suffixes:
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
            self.hidden_size,
            implementation=self.implementation,
            device=weight.device,
            dtype=computed_in(weight.dtype),
        )

    @property
    def chosen(self) -> str:
        """Which implementation runs these recurrences on the parameters' device: "cpu", "gpu", …"""
        weight = next(self.parameters())
        return dispatch.choose(
            self.cell,
            implementation=self.implementation,
            device=weight.device,
            dtype=computed_in(weight.dtype),
        )

    @property
    def precision(self) -> Precision:
        """How precisely products are computed now: see `dispatch.precision_of`."""
        device = next(self.parameters()).device
        return dispatch.precision_of(self.chosen, self.hidden_size, device)

    def require_runnable(self, dtype: torch.dtype) -> None:
        """Raise, or warn, as a call would that chooses an implementation; ask once."""
        asked = self.implementation, dtype
        if self._runnable != asked:
            self.chosen  # noqa: B018
            self._runnable = asked

    def run_layer(
        self,
        layer: int,
        frames: Tensor,
        packing: Packing,
        h0: Tensor | None,
        shape: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Run one layer: frames [N, I], h0 [G, D, B, H] -> every state, [N, D, H] or `shape`."""
        w_ih, b_ih, w_hh, b_hh = self.layer_weights(layer)
        return dispatch.layer(
            frames,
            w_ih,
            b_ih,
            w_hh,
            b_hh,
            packing,
            self.cell,
            self.activation_parameters(layer, w_hh),
            h0,
            implementation=self.implementation,
            stacked=bool(self._lead),
            shape=shape,
        )

    def layer_operator(
        self,
        layer: int,
        frames: Tensor,
        h0: Tensor | None,
        batch_sizes: Tensor | None,
        lengths: Tensor | None,
        steps: int,
    ) -> Tensor:
        """`run_layer` as an operator that tracers see; returns h [N, D, H]."""
        w_ih, b_ih, w_hh, b_hh = self.layer_weights(layer)
        update, reset, candidate = self.activation_parameters(layer, w_hh)
        tensors = (frames, w_ih, b_ih, w_hh, b_hh, h0, update, reset, candidate)
        save = torch.is_grad_enabled() and any(
            tensor is not None and tensor.requires_grad for tensor in tensors
        )
        h: Tensor
        h, _ = operators.gru_layer(
            *tensors, batch_sizes, lengths, steps, self._cell_text, self.implementation, save
        )
        return h

    def layer_weights(self, layer: int) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """A layer's w_ih [G, D·3H, I], b_ih [G, D·3H], w_hh [G, D, 3H, H] and b_hh [G, D, 3H]."""
        w_hh = self._directions(f"weight_hh_l{layer}")
        G, D, _, H = w_hh.shape
        w_ih = self._directions(f"weight_ih_l{layer}").flatten(1, 2)
        if not self.bias:
            return w_ih, None, w_hh, w_hh.new_zeros(G, D, 3 * H)
        b_ih = self._directions(f"bias_ih_l{layer}").flatten(1)
        return w_ih, b_ih, w_hh, self._directions(f"bias_hh_l{layer}")

    def _directions(self, name: str) -> Tensor:
        """Both directions' parameter of this name as [G, D, ...]."""
        tensors = [getattr(self, name + suffix) for suffix in self.suffixes]
        if len(tensors) == 1:
            both: Tensor = tensors[0].unsqueeze(len(self._lead))
        else:
            both = torch.stack(tensors, len(self._lead))
        both = both if self._lead else both.unsqueeze(0)
        return both.to(computed_in(both.dtype))

    def activation_parameters(self, layer: int, like: Tensor) -> Parameters:
        """A layer's (update, reset, candidate) parameters, each [G, D, P, K]."""
        G, D = like.shape[:2]
        none = like.new_empty(G, D, 0, 1)
        values = []
        for site in SITES:
            name = f"{site}_l{layer}"
            if name not in self._initial:
                values.append(none)
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
            if getattr(self, name) != default:
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


def _initial_values(formula: Formula, hidden_size: int) -> Tensor:
    """What a formula's parameters start from: [P], or [P, H] where any is learnt per unit."""
    # a device of its own: within torch.device("meta") there would be no values
    initial = torch.tensor(formula.initial, dtype=torch.float64, device="cpu")
    if any(parameter.scope == "unit" for parameter in formula.parameters):
        return initial[:, None].repeat(1, hidden_size)
    return initial


def final_states(h: Tensor, packing: Packing, h0: Tensor | None, D: int, H: int) -> Tensor:
    """Each row's last state, [G, D, B, H], from h, N times [D, H]; without frames it is h0's."""
    G, B, N = packing.groups, packing.rows, packing.N
    if N == 0:
        return h.new_zeros(G, D, B, H) if h0 is None else h0
    if packing.in_order and G * D == 1:
        return h.view(1, packing.T, 1, B, H)[:, -1]
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
