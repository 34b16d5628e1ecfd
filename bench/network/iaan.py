"""The Interaction-Aware Attention Network, a stack of it: M networks in every tensor.

- Yeh, Lin & Lee, "An Interaction-aware Attention Network for Speech Emotion Recognition in Spoken
  Dialogs" (ICASSP 2019), as its authors' code computes it
  (30stomercury/Interaction-Aware-Attention-Network: layers, initial values, where dropout acts);
  only the GRU cell is ours to vary.
- Three encoders per member run as one stack of 3 M recurrences. Groups are ordered encoder by
  encoder, the current utterance's first, so that the current frames and the contexts' frames are
  contiguous.
- Frames are packed and attention is ragged: cost follows real frames from end to end.
"""

import torch
from torch import Tensor, nn

from activations.gru import GRU, StackedGRU
from activations.kernels.cpu.recurrence import gradients_stay
from activations.kernels.packing import Packing
from bench.data.members import Hyperparameters, Variant
from bench.network.dropout import Dropout
from bench.network.interaction import Attentions, heard
from bench.network.network import INDEX, Footprint, Network, Recurrence
from bench.network.padded import PaddedAttention, linear

ENCODERS = ("current", "own", "other")


class IAAN(Network):
    """M stacked networks of one variant; parameters [M, …], [2 M, …] or [3 M, …].

    Rows are (encoder, member, batch) in this order; D directions, H hidden units, A attention
    units, C classes. Parameters lie on the device of `keys` [M].
    """

    utterances = len(ENCODERS)
    encoders: StackedGRU

    def _build(
        self,
        variant: Variant,
        hyper: Hyperparameters,
        features: int,
        classes: int,
        implementation: str,
    ) -> None:
        M, A = self.members, hyper.attention_size
        width = variant.directions * hyper.hidden_size
        self.encoders = self._gru(len(ENCODERS), features, variant, hyper, implementation)
        self.attention_weight = self._empty(3 * M, A, width)
        self.attention_bias = self._empty(3 * M, A)
        self.attention_score = self._empty(3 * M, A)
        self.context_weight = self._empty(2 * M, A, width)  # what contexts add to current's scores
        self._add_head(len(ENCODERS) * width, hyper.dense_size, classes)

    @classmethod
    def footprint(
        cls, variant: Variant, hyper: Hyperparameters, *, features: int, classes: int, learns: bool
    ) -> Footprint:
        """Of a training batch the moments that take most are two.

        Where the recurrence runs forward: projected gates 3 W, saved gates 4 W and states W of each
        frame. Where it runs backward: saved gates 4 W, states W and their gradients W, gradients of
        the gates 3 W and of the recurrent candidate W, what is carried from step to step W, and 3 W
        where parameters learn; of these a CPU has, sizes permitting, 6 W in memory. All along:
        features I, the index, attention's A and its gradient; of current frames the dropout masks
        I + W and the states after dropout W. Evaluation saves nothing for a way back. Diagnostics,
        one direction at a time: of both directions the projected gates 3 H, states H and the states
        before H; of one the recurrent products 3 H, the gates 3 H and what an activation computes
        on its way, 3 H.
        """
        H, A, dense = hyper.hidden_size, hyper.attention_size, hyper.dense_size
        W = variant.directions * H
        encoder = 3 * W * (features + H + 2)
        head = dense * (len(ENCODERS) * W + 3) + classes * (dense + 1)
        return Footprint(
            parameters=len(ENCODERS) * (encoder + A * (W + 2)) + 2 * A * W + head,
            frame=(11 + 3 * learns) * W + features + INDEX + 3 * A,
            cached=(5 + 3 * learns) * W if gradients_stay(variant.reset_order, features, H) else 0,
            current=features + 2 * W,
            row=2 * len(ENCODERS) * W + 8 * dense,
            evaluated=4 * W + features + INDEX + 3 * A,
            diagnosed=5 * W + 9 * H + features,
            directions=len(ENCODERS) * variant.directions,
        )

    @property
    def recurrences(self) -> tuple[Recurrence, ...]:
        """One, of the three encoders."""
        return (Recurrence(ENCODERS, self.encoders),)

    @property
    def dropped_width(self) -> int:
        """D·H: dropout acts on the current encoder's states."""
        return int(self.dense_weight.shape[2]) // len(ENCODERS)

    def head(
        self, states: Tensor, packing: Packing, dropout: Dropout | None = None, *, above: int = 0
    ) -> Tensor:
        """Logits [M, B, C] of the encoders' states [N, D·H], laid out by `packing`."""
        assert above == 0
        mask = None if dropout is None else dropout.outputs
        by = Attentions(
            self.attention_weight, self.attention_bias, self.attention_score, self.context_weight
        )
        means = heard(states, mask, by, packing, implementation=self.implementation)
        return self._logits(means, dropout)

    def _padded(self, member: int) -> nn.Module:
        own, M = self._own(member), self.members
        weight, bias, score = (own[f"attention_{name}"] for name in ("weight", "bias", "score"))
        return PaddedIAAN(
            [self.encoders.group(e * M + member) for e in range(len(ENCODERS))],
            [PaddedAttention(*each) for each in zip(weight, bias, score, strict=True)],
            torch.cat(list(own["context_weight"]), 1),
            self._padded_head(member),
        )


class PaddedIAAN(nn.Module):
    """The network of one member over padded batches; see `bench.network.padded`."""

    def __init__(
        self, encoders: list[GRU], attentions: list[PaddedAttention], offer: Tensor, head: nn.Module
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.attentions = nn.ModuleList(attentions)
        self.offer = linear(offer, None)
        self.head = head

    def forward(self, current: Tensor, own: Tensor, other: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B, C] of three utterances' frames, each [B, T, I] with a T of its own.

        lengths [3, B]: of the current ones, the own and the other contexts; a missing context has
        length 0 (and at least one frame, which may hold anything).
        """
        states = [
            encoder(frames, lengths=n)[0]
            for encoder, frames, n in zip(
                self.encoders, (current, own, other), lengths, strict=True
            )
        ]
        contexts = [self.attentions[e](states[e], lengths[e]) for e in (1, 2)]
        offer = self.offer(torch.cat(contexts, 1))
        focus = self.attentions[0](states[0], lengths[0], offer)
        logits: Tensor = self.head(torch.cat([focus, *contexts], 1))
        return logits
