"""One member of a network over padded batches, in operations that any exporter can follow.

- A stack walks packed frames of many members, whose numbers depend on the data: right for training,
  and nothing that torch.export or ONNX can hold for any batch and any time.
- So a trained member leaves as a module of torch's own layers and `activations.GRU`. Its logits are
  those of its place in the stack, to rounding.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)
HEAD = ("dense_weight", "dense_bias", "norm_gain", "norm_shift", "output_weight", "output_bias")


def frames_of(states: Tensor, lengths: Tensor) -> Tensor:
    """Which of the padded frames are real: [B, T, 1] of states [B, T, W] and lengths [B]."""
    steps = torch.arange(states.shape[1], device=states.device)
    return (steps[None] < lengths[:, None])[:, :, None]


class PaddedAttention(nn.Module):
    """The mean of each row's states with weights softmax(score · tanh(key + offer)).

    weight [A, W], bias [A], score [A], as `bench.network.attention` has them.
    """

    def __init__(self, weight: Tensor, bias: Tensor, score: Tensor) -> None:
        super().__init__()
        self.key = linear(weight, bias)
        self.score = linear(score[None], None)

    def forward(self, states: Tensor, lengths: Tensor, offer: Tensor | None = None) -> Tensor:
        """States [B, T, W], lengths [B], offer [B, A] -> [B, W]; zeros for a row of length 0."""
        real = frames_of(states, lengths)
        keys = self.key(states)
        keys = keys if offer is None else keys + offer[:, None]
        scores = self.score(torch.tanh(keys)).masked_fill(~real, -1e30)
        weights = torch.where(real, torch.softmax(scores, 1), 0.0)
        return (weights * states).sum(1)


class PaddedHead(nn.Module):
    """The dense layer, its norm, and the logits: [B, inputs] -> [B, C].

    own: the parameters of one member, by the names that `bench.network.network` gives them.
    """

    def __init__(self, own: dict[str, Tensor], epsilon: float) -> None:
        super().__init__()
        self.dense = linear(own["dense_weight"], own["dense_bias"])
        norm = nn.LayerNorm(len(own["norm_gain"]), eps=epsilon, device="meta")
        self.norm = _filled(norm, own["norm_gain"], own["norm_shift"])
        self.output = linear(own["output_weight"], own["output_bias"])

    def forward(self, heard: Tensor) -> Tensor:
        """Logits of what was heard."""
        logits: Tensor = self.output(torch.relu(self.norm(self.dense(heard))))
        return logits


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer with copies of these: weight [O, I], bias [O]."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    return _filled(layer, weight, bias)


def _filled(layer: Layer, weight: Tensor, bias: Tensor | None) -> Layer:
    """The layer, made on no device (where initial weights cost no random numbers), with copies."""
    values = {"weight": weight} | ({} if bias is None else {"bias": bias})
    layer.load_state_dict({name: value.clone() for name, value in values.items()}, assign=True)
    return layer
