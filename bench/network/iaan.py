"""The Interaction-Aware Attention Network, a stack of it: M networks in every tensor.

- Yeh, Lin & Lee, "An Interaction-aware Attention Network for Speech Emotion Recognition in Spoken
  Dialogs" (ICASSP 2019), as its authors' code computes it
  (30stomercury/Interaction-Aware-Attention- Network: layers, initial values, where dropout acts);
  only the GRU cell is ours to vary.
- Three encoders per member run as one stack of 3 M recurrences. Groups are ordered encoder by
  encoder, the current utterance's first, so that the current frames and the contexts' frames are
  contiguous; every parameter's leading axis is a multiple of M with the member running fastest.
- Frames are packed and attention is ragged: cost follows real frames from end to end.
- No operation mixes members or depends on how many there are: a member's numbers are its own.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from activations.gru import SITES, StackedGRU
from activations.kernels.packing import Packing
from activations.kernels.projection import project
from bench.data import streams
from bench.data.members import Hyperparameters, Variant
from bench.network.attention import attention
from bench.network.dropout import Dropout
from bench.network.norm import normalised

ENCODERS = ("current", "own", "other")


class IAAN(nn.Module):
    """M stacked networks of one variant; parameters [M, …], [2 M, …] or [3 M, …].

    Rows are (encoder, member, batch) in this order; D directions, H hidden units, A attention
    units, C classes. Parameters lie on the device of `keys` [M]. Initial values belong to the
    member (its key, see bench.data.streams), not to the process or the device: as in the authors'
    TensorFlow, Glorot uniform GRU weights with gate biases 1, attention N(0, 0.1²), dense weights
    N(0, 0.1²) cut at two deviations with biases 0.1.
    """

    def __init__(
        self,
        variant: Variant,
        hyper: Hyperparameters,
        keys: Tensor,
        *,
        features: int,
        classes: int,
        implementation: str = "auto",
    ) -> None:
        super().__init__()
        M, width = len(keys), variant.directions * hyper.hidden_size
        A, dense = hyper.attention_size, hyper.dense_size
        self.members = M
        device = keys.device
        # its own initial weights are drawn over below
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            self.encoders = StackedGRU(
                len(ENCODERS) * M,
                features,
                hyper.hidden_size,
                bidirectional=variant.directions == 2,
                device=device,
                activation=variant.activation,
                update_gate=variant.update,
                reset_gate=variant.reset,
                reset=variant.reset_order,
                implementation=implementation,
            )

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device))

        self.attention_weight = empty(3 * M, A, width)
        self.attention_bias = empty(3 * M, A)
        self.attention_score = empty(3 * M, A)
        self.context_weight = empty(2 * M, A, width)  # what the contexts add to current's scores
        self.dense_weight = empty(M, dense, len(ENCODERS) * width)
        self.dense_bias = empty(M, dense)
        self.norm_gain = empty(M, dense)
        self.norm_shift = empty(M, dense)
        self.output_weight = empty(M, classes, dense)
        self.output_bias = empty(M, classes)
        with torch.no_grad():
            for m in range(M):
                self._draw(m, keys[m : m + 1])

    def by_member(self, parameter: Tensor) -> Tensor:
        """A parameter (or its gradient) as [E, M, size], E of its tensors for each member."""
        return parameter.view(-1, self.members, math.prod(parameter.shape[1:]))

    @property
    def dense_parameters(self) -> tuple[Tensor, ...]:
        """What the L2 term is of: weights and biases of the two dense layers."""
        return self.dense_weight, self.dense_bias, self.output_weight, self.output_bias

    @property
    def parameter_count(self) -> int:
        """Trainable numbers of one member."""
        return sum(parameter.numel() for parameter in self.parameters()) // self.members

    @property
    def implementation(self) -> str:
        """What all but the recurrence runs on: "gpu" where that does, otherwise "reference"."""
        return "gpu" if self.encoders.chosen == "gpu" else "reference"

    def activation_parameters(self) -> dict[str, Tensor]:
        """Learnable activation parameters {"current.candidate": [M, D, P, K], …}, detached.

        K is 1 (one value per layer) or H (one per unit). Sites without parameters are absent.
        """
        found: dict[str, Tensor] = {}
        named = dict(self.encoders.named_parameters())
        for site in SITES:
            directions = [named[n] for n in (f"{site}_l0", f"{site}_l0_reverse") if n in named]
            if not directions:
                continue
            values = torch.stack([d.detach() for d in directions], 1)
            values = values if values.dim() == 4 else values[..., None]  # [3 M, D, P, K]
            by_encoder = values.view(len(ENCODERS), self.members, *values.shape[1:])
            found |= {f"{name}.{site}": by_encoder[e].clone() for e, name in enumerate(ENCODERS)}
        return found

    def forward(self, frames: Tensor, packing: Packing, dropout: Dropout | None = None) -> Tensor:
        """Logits [M, B, C] of frames [N, I] in 3 M groups of B rows; dropout None to evaluate.

        Of `dropout` the inputs' mask is not applied here: it belongs to the gathering of frames.
        """
        states, _ = self.encoders(frames, packing)
        return self.head(states, packing, dropout)

    def head(self, states: Tensor, packing: Packing, dropout: Dropout | None = None) -> Tensor:
        """Logits [M, B, C] of the encoders' states [N, D·H], laid out by `packing`."""
        M, B = self.members, packing.rows
        on = self.implementation
        current, contexts = torch.split(states, [packing.bounds[M], packing.N - packing.bounds[M]])
        if dropout is not None:
            current = current * dropout.outputs

        part = _groups(packing, M, 3 * M)
        score = self.attention_score
        weight, bias = self.attention_weight, self.attention_bias
        keys = project(contexts, weight[M:], bias[M:], part, implementation=on)
        pooled = attention(contexts, keys, None, score[M:], part, implementation=on)
        own, other = torch.split(pooled, M * B)

        part = _groups(packing, 0, M)
        keys = project(current, weight[:M], bias[:M], part, implementation=on)
        rows = Packing.full(2 * M, 1, B, device=states.device)
        offer = project(pooled, self.context_weight, None, rows, implementation=on)
        offer = offer[: M * B] + offer[M * B :]
        focus = attention(current, keys, offer, score[:M], part, implementation=on)

        rows = Packing.full(M, 1, B, device=states.device)
        joined = torch.cat([focus, own, other], 1)
        hidden = project(joined, self.dense_weight, self.dense_bias, rows, implementation=on)
        if dropout is not None:
            hidden = hidden * dropout.dense
        hidden = normalised(hidden, self.norm_gain, self.norm_shift, implementation=on)
        logits = project(hidden, self.output_weight, self.output_bias, rows, implementation=on)
        return logits.view(M, B, -1)

    def _draw(self, member: int, key: Tensor) -> None:
        """Draw the initial values of one member; key [1]."""
        for name, parameter in self.named_parameters():
            name = name.removeprefix("encoders.")
            if name.partition("_l0")[0] in SITES:
                continue  # activation parameters start where their formula says
            own = parameter.view(-1, self.members, *parameter.shape[1:])[:, member]
            for e, value in enumerate(own):
                value.copy_(self._initial(name, f"init/{name}/{e}", key, value.shape))

    def _initial(self, name: str, purpose: str, key: Tensor, shape: torch.Size) -> Tensor:
        """One member's initial value of a parameter, float32 `shape`."""
        match name.partition("_l0")[0]:
            case "weight_ih" | "weight_hh":
                # TensorFlow's kernels: [I + H, 2 H] for the two gates, [I + H, H] for the candidate
                H, inputs = self.encoders.hidden_size, self.encoders.input_size
                outputs = torch.tensor([2.0 * H, 2.0 * H, H]).repeat_interleave(H)
                limits = torch.sqrt(6.0 / (inputs + H + outputs)).to(key.device)
                # on a GPU, too: integers, and products that round once, are the same there
                return (2 * streams.uniform(key, purpose, 0, shape)[0] - 1) * limits[:, None]
            case "bias_ih":  # torch has two biases where TensorFlow has one; the other one is zero
                gates = torch.zeros(3, shape[0] // 3)
                gates[:2] = 1.0
                return gates.flatten()
            case "attention_weight" | "attention_bias" | "attention_score" | "context_weight":
                return 0.1 * streams.normal(key.cpu(), purpose, 0, shape)[0]
            case "dense_weight" | "output_weight":
                return 0.1 * _truncated_normal(streams.uniform(key.cpu(), purpose, 0, shape)[0])
            case "dense_bias" | "output_bias":
                return torch.full(shape, 0.1)
            case "norm_gain":
                return torch.ones(shape)
            case _:
                return torch.zeros(shape)


def _groups(packing: Packing, first: int, last: int) -> Packing:
    """Groups first … last − 1 of a packing, their frames counted from the first of them."""
    start = packing.bounds[first]
    return replace(
        packing,
        lengths=packing.lengths[first:last],
        order=packing.order[first:last],
        batch_sizes=packing.batch_sizes[first:last],
        starts=packing.starts[first:last] - start,
        bounds=tuple(bound - start for bound in packing.bounds[first : last + 1]),
        N=packing.bounds[last] - start,
    )


def _truncated_normal(uniform: Tensor) -> Tensor:
    """Standard normals cut at ±2 from uniforms in [0, 1), by the inverse distribution function."""
    share = math.erf(2 / math.sqrt(2))  # of a standard normal within ±2
    return (math.sqrt(2) * torch.erfinv((2 * uniform.double() - 1) * share)).float()
