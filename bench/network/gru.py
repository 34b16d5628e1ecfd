"""A GRU encoder with pooling over time, a stack of it: for speech that is no dialogue.

- The plainest recurrent network of the field: one or more layers, one vector of each utterance
  (attention, mean or last state), IAAN's dense layer. It hears the current utterance alone.
- The same primitive, head, dropout and initial values as IAAN, so that what differs between two
  studies is the network and not its details.
- Layers run one after another, each over the packed states of the one below: a layer is a
  recurrence of its own, whose states diagnostics can see.
"""

import torch
from torch import Tensor, nn

from activations.gru import GRU
from activations.kernels.cpu.recurrence import gradients_stay
from activations.kernels.packing import Packing
from bench.data.members import Hyperparameters, Variant
from bench.network.dropout import Dropout
from bench.network.interaction import Attentions, heard
from bench.network.network import INDEX, Footprint, Network, Recurrence
from bench.network.padded import PaddedAttention


class GRUNetwork(Network):
    """M stacked networks of one variant: layers of D directions and H units, pooling, dense layer.

    pooling: "attention", additive self-attention of A units (as IAAN's contexts have); "mean" of a
    row's states; "last": the state at which each direction ends, zeros for a row without frames.
    Dropout acts on the frames, on each layer's states and before the dense layer's norm.
    Parameters lie on the device of `keys` [M].
    """

    utterances = 1

    def _build(
        self,
        variant: Variant,
        hyper: Hyperparameters,
        features: int,
        classes: int,
        implementation: str,
    ) -> None:
        M, A = self.members, hyper.attention_size
        self.width = variant.directions * hyper.hidden_size
        self.pooling = hyper.pooling
        inputs = [features, *[self.width] * (hyper.layers - 1)]
        self._layers = tuple(self._gru(1, size, variant, hyper, implementation) for size in inputs)
        self.encoders = nn.ModuleList(self._layers)
        if self.pooling == "attention":
            self.attention_weight = self._empty(M, A, self.width)
            self.attention_bias = self._empty(M, A)
            self.attention_score = self._empty(M, A)
        self._add_head(self.width, hyper.dense_size, classes)

    @classmethod
    def footprint(
        cls, variant: Variant, hyper: Hyperparameters, *, features: int, classes: int, learns: bool
    ) -> Footprint:
        """As IAAN's, and of each layer below the top one its saved gates 4 W, states W and the
        states after dropout W all along.
        """
        H, dense, below = hyper.hidden_size, hyper.dense_size, hyper.layers - 1
        W = variant.directions * H
        A = hyper.attention_size if hyper.pooling == "attention" else 0
        layers = 3 * W * (features + H + 2) + below * 3 * W * (W + H + 2)
        head = dense * (W + 3) + classes * (dense + 1)
        stay = not below and gradients_stay(variant.reset_order, features, H)
        return Footprint(
            parameters=layers + A * (W + 2) + head,
            frame=(11 + 3 * learns + 6 * below) * W + features + INDEX + 3 * A,
            cached=(5 + 3 * learns) * W if stay else 0,
            current=features + (2 + below) * W,
            row=2 * W + 8 * dense,
            evaluated=4 * W + features + INDEX + 3 * A + below * W,
            diagnosed=5 * W + 9 * H + max(features, below * W),
            directions=hyper.layers * variant.directions,
        )

    @property
    def recurrences(self) -> tuple[Recurrence, ...]:
        """The layers, from below."""
        return tuple(
            Recurrence((f"layer{number}",), layer)
            for number, layer in enumerate(self._layers, start=1)
        )

    @property
    def dropped_width(self) -> int:
        """D·H of each layer."""
        return len(self._layers) * self.width

    def head(
        self, states: Tensor, packing: Packing, dropout: Dropout | None = None, *, above: int = 0
    ) -> Tensor:
        """Logits [M, B, C] of the states [N, D·H] of layer number `above`, counted from 0."""
        masks = None if dropout is None else torch.split(dropout.outputs, self.width, 1)
        for number in range(above, len(self._layers)):
            if number > above:
                states = self._layers[number].states(states, packing)
            top = number == len(self._layers) - 1
            if masks is not None and not top:
                states = states * masks[number]
        mask = None if masks is None else masks[-1]
        return self._logits(self._pooled(states, mask, packing), dropout)

    def _pooled(self, states: Tensor, mask: Tensor | None, packing: Packing) -> Tensor:
        """One vector of each row, [M · B, D·H]; mask: multiplied with the states."""
        if self.pooling == "last":
            return self._last(states if mask is None else states * mask, packing)
        if self.pooling == "attention":
            by = Attentions(self.attention_weight, self.attention_bias, self.attention_score, None)
        else:  # the mean is attention to which all frames are alike
            weight, bias = (
                states.new_zeros(self.members, 1, self.width),
                states.new_zeros(self.members, 1),
            )
            by = Attentions(weight, bias, bias, None)
        return heard(states, mask, by, packing, implementation=self.implementation)

    def _last(self, states: Tensor, packing: Packing) -> Tensor:
        if not packing.N:
            return states.new_zeros(packing.lengths.numel(), self.width)
        H = self._layers[0].hidden_size
        ends = (packing.last_frames.flatten(), packing.first_frames.flatten())
        parts = [
            own.index_select(0, end.clamp(min=0)) * (end >= 0)[:, None]
            for own, end in zip(torch.split(states, H, 1), ends, strict=False)
        ]
        return torch.cat(parts, 1)

    def _padded(self, member: int) -> nn.Module:
        attend = None
        if self.pooling == "attention":
            own = self._own(member)
            names = ("weight", "bias", "score")
            attend = PaddedAttention(*(own[f"attention_{name}"][0] for name in names))
        layers = [layer.group(member) for layer in self._layers]
        return PaddedGRUNetwork(layers, self.pooling, attend, self._padded_head(member))


class PaddedGRUNetwork(nn.Module):
    """The network of one member over padded batches; see `bench.network.padded`."""

    def __init__(
        self, layers: list[GRU], pooling: str, attend: PaddedAttention | None, head: nn.Module
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.pooling = pooling
        self.attend = attend
        self.head = head

    def forward(self, current: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B, C] of utterances' frames [B, T, I], of which lengths [B] are real."""
        states = current
        for layer in self.layers:
            states, last = layer(states, lengths=lengths)
        if self.attend is not None:
            pooled = self.attend(states, lengths)
        elif self.pooling == "mean":  # states behind a row's last frame are zero
            pooled = states.sum(1) / lengths.clamp(min=1)[:, None]
        else:
            pooled = last.transpose(0, 1).flatten(1)
        logits: Tensor = self.head(pooled)
        return logits
