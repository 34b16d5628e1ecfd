"""What every network of a study is: recurrences and a head, M members in every tensor.

- Training, evaluation, diagnostics and the memory estimate know this class and no other: another
  network is one file with a subclass, and its line in bench.network.kinds.
- No operation mixes members or depends on how many there are: a member's numbers are its own. Every
  parameter's leading axis is a multiple of M with the member running fastest.
- Initial values belong to the member (its key, see bench.data.streams), not to the process or the
  device. Their distributions are by default those of the code of IAAN's authors
  (30stomercury/Interaction-Aware-Attention-Network), which is TensorFlow: Glorot uniform GRU
  weights with gate biases 1, attention N(0, 0.1²), dense weights N(0, 0.1²) cut at two deviations
  with biases 0.1.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from activations.gru import SITES, StackedGRU
from activations.kernels.packing import Packing
from activations.kernels.precision import Precision
from activations.kernels.projection import project
from bench.data import streams
from bench.data.members import Hyperparameters, Variant
from bench.network.dropout import Dropout
from bench.network.norm import normalised
from bench.network.padded import HEAD, PaddedHead


@dataclass(frozen=True, eq=False)
class Recurrence:
    """GRUs of one layer that run as one: a stack of E · M groups, encoder by encoder.

    names: of the E encoders, as results and reports call them.
    """

    names: tuple[str, ...]
    gru: StackedGRU


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a member's memory grows with, in floats; see bench.training.memory.

    parameters: trainable numbers, but for the activations' own. frame: kept of each frame of a
    training batch at the moment that takes most; cached: what of it takes no memory on a CPU.
    current: beside that, of each frame of the current utterance. row: of each example. evaluated,
    diagnosed: of each frame of an evaluation batch, of the padded sample of the diagnostics.
    directions: recurrences of one direction.
    """

    parameters: int
    frame: float
    cached: float
    current: float
    row: float
    evaluated: float
    diagnosed: float
    directions: int


INDEX = 24  # floats of a frame: its row, its time, its place in the store and in attention, int64


class Network(nn.Module):
    """M stacked networks of one variant and one setting; parameters lie on the device of `keys`.

    A subclass has the methods that raise NotImplementedError here. utterances: how many of an
    example's three it hears: 3, or 1 for the current one alone. encoders: its GRUs. draw: whether
    initial values are drawn; without them parameters are whatever memory held, to be loaded over.
    """

    utterances: ClassVar[int] = 3
    encoders: nn.Module

    def __init__(
        self,
        variant: Variant,
        hyper: Hyperparameters,
        keys: Tensor,
        *,
        features: int,
        classes: int,
        implementation: str = "auto",
        draw: bool = True,
    ) -> None:
        super().__init__()
        self.members = len(keys)
        self.device = keys.device
        self._norm_epsilon = hyper.norm_epsilon
        self._init, self._recurrent_bias = hyper.init, hyper.recurrent_bias
        self._build(variant, hyper, features, classes, implementation)
        for name, parameter in self.named_parameters():
            if name.rpartition(".")[2].startswith("bias_hh"):
                parameter.requires_grad_(hyper.recurrent_bias)
        if draw:
            self._draw_all(keys)

    def _build(
        self,
        variant: Variant,
        hyper: Hyperparameters,
        features: int,
        classes: int,
        implementation: str,
    ) -> None:
        """Register the parameters, whose values are drawn afterwards."""
        raise NotImplementedError

    @classmethod
    def footprint(
        cls, variant: Variant, hyper: Hyperparameters, *, features: int, classes: int, learns: bool
    ) -> Footprint:
        """What a member takes; learns: whether an activation has learnable parameters."""
        raise NotImplementedError

    @property
    def recurrences(self) -> tuple[Recurrence, ...]:
        """The GRUs, from the one that hears the frames to the one below the head."""
        raise NotImplementedError

    @property
    def dropped_width(self) -> int:
        """Columns of the states of a current frame that dropout acts on."""
        raise NotImplementedError

    def head(
        self, states: Tensor, packing: Packing, dropout: Dropout | None = None, *, above: int = 0
    ) -> Tensor:
        """Logits [M, B, C] of the states [N, D·H] of recurrence number `above`, laid out so."""
        raise NotImplementedError

    def forward(self, frames: Tensor, packing: Packing, dropout: Dropout | None = None) -> Tensor:
        """Logits [M, B, C] of frames [N, I] in E · M groups of B rows; dropout None to evaluate.

        Of `dropout` the inputs' mask is not applied here: it belongs to the gathering of frames.
        """
        states = self.recurrences[0].gru.states(frames, packing)
        return self.head(states, packing, dropout)

    def padded(self, member: int) -> nn.Module:
        """A module of this member alone over padded batches, for exporters; copies of its weights.

        Raises IndexError for a member that does not exist.
        """
        if not 0 <= member < self.members:
            raise IndexError(f"this stack has members 0 to {self.members - 1}, not {member}")
        return self._padded(member).train(self.training)

    def _padded(self, member: int) -> nn.Module:
        """What `padded` returns."""
        raise NotImplementedError

    @property
    def dense_parameters(self) -> tuple[Tensor, ...]:
        """What the L2 term is of: weights and biases of the two dense layers."""
        return self.dense_weight, self.dense_bias, self.output_weight, self.output_bias

    def by_member(self, parameter: Tensor) -> Tensor:
        """A parameter (or its gradient) as [E, M, size], E of its tensors for each member."""
        return parameter.view(-1, self.members, math.prod(parameter.shape[1:]))

    @property
    def parameter_count(self) -> int:
        """Trainable numbers of one member."""
        return sum(each.numel() for each in self.parameters() if each.requires_grad) // self.members

    @property
    def kernel(self) -> str:
        """What computes the recurrences."""
        return self.recurrences[0].gru.kernel

    @property
    def precision(self) -> Precision:
        """How precisely the recurrences' products are computed."""
        return self.recurrences[0].gru.precision

    @property
    def implementation(self) -> str:
        """What all but the recurrence runs on: "gpu", "cpu" (our own C) or "reference" (torch's
        operations), as the recurrence does.
        """
        return self.recurrences[0].gru.chosen

    def activation_parameters(self) -> dict[str, Tensor]:
        """Learnable activation parameters {"current.candidate": [M, D, P, K], …}, detached.

        K is 1 (one value per layer) or H (one per unit). Sites without parameters are absent.
        """
        found: dict[str, Tensor] = {}
        for recurrence in self.recurrences:
            named = dict(recurrence.gru.named_parameters())
            for site in SITES:
                directions = [named[n] for n in (f"{site}_l0", f"{site}_l0_reverse") if n in named]
                if not directions:
                    continue
                values = torch.stack([d.detach() for d in directions], 1)
                values = values if values.dim() == 4 else values[..., None]  # [E M, D, P, K]
                by_encoder = values.view(-1, self.members, *values.shape[1:])
                found |= {
                    f"{name}.{site}": by_encoder[e].clone()
                    for e, name in enumerate(recurrence.names)
                }
        return found

    def _gru(
        self, encoders: int, inputs: int, variant: Variant, hyper: Hyperparameters, on: str
    ) -> StackedGRU:
        """A stack of `encoders` GRUs of one layer for each member; its weights are yet to draw."""
        on_gpu = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=on_gpu):  # its own initial weights are drawn over
            return StackedGRU(
                encoders * self.members,
                inputs,
                hyper.hidden_size,
                bidirectional=variant.directions == 2,
                device=self.device,
                activation=variant.activation.formula,
                update_gate=variant.update.formula,
                reset_gate=variant.reset.formula,
                reset=variant.reset_order,
                implementation=on,
            )

    def of_member(self, tensor: Tensor, member: int) -> Tensor:
        """The view [E, …] of a member in a tensor [E·M, …] that is laid out as a parameter."""
        return tensor.detach().view(-1, self.members, *tensor.shape[1:])[:, member]

    def _own(self, member: int) -> dict[str, Tensor]:
        """One member's [E, …] of each parameter of the head, by name, detached."""
        return {
            name: self.of_member(parameter, member)
            for name, parameter in self.named_parameters(recurse=False)
        }

    def _padded_head(self, member: int) -> PaddedHead:
        """The two dense layers of one member."""
        own = {name: each[0] for name, each in self._own(member).items() if name in HEAD}
        return PaddedHead(own, self._norm_epsilon)

    def _empty(self, *shape: int) -> nn.Parameter:
        return nn.Parameter(torch.empty(shape, device=self.device))

    def _add_head(self, inputs: int, dense: int, classes: int) -> None:
        """Register the dense layer of a member's `inputs` numbers, and the one of the logits."""
        M = self.members
        self.dense_weight = self._empty(M, dense, inputs)
        self.dense_bias = self._empty(M, dense)
        self.norm_gain = self._empty(M, dense)
        self.norm_shift = self._empty(M, dense)
        self.output_weight = self._empty(M, classes, dense)
        self.output_bias = self._empty(M, classes)

    def _logits(self, heard: Tensor, dropout: Dropout | None) -> Tensor:
        """Logits [M, B, C] of what was heard, [M · B, inputs of the head]."""
        M, on = self.members, self.implementation
        rows = Packing.full(M, 1, len(heard) // M, device=heard.device)
        hidden = project(heard, self.dense_weight, self.dense_bias, rows, implementation=on)
        if dropout is not None:
            hidden = hidden * dropout.dense
        hidden = normalised(
            hidden, self.norm_gain, self.norm_shift, epsilon=self._norm_epsilon, implementation=on
        )
        logits = project(hidden, self.output_weight, self.output_bias, rows, implementation=on)
        return logits.view(M, rows.rows, -1)

    @torch.no_grad()
    def _draw_all(self, keys: Tensor) -> None:
        """Draw the initial values of all members, keys [M]."""
        for m in range(self.members):
            for name, parameter in self.named_parameters():
                name = name.removeprefix("encoders.")
                if name.rpartition(".")[2].partition("_l0")[0] in SITES:
                    continue  # activation parameters start where their formula says
                own = parameter.view(-1, self.members, *parameter.shape[1:])[:, m]
                for e, value in enumerate(own):
                    value.copy_(
                        self._initial(name, f"init/{name}/{e}", keys[m : m + 1], value.shape)
                    )

    def _initial(self, name: str, purpose: str, key: Tensor, shape: torch.Size) -> Tensor:
        """One member's initial value of a parameter, float32 `shape`; key [1]."""
        path, _, leaf = name.rpartition(".")
        kind = leaf.partition("_l0")[0]
        match kind:
            case "weight_ih" | "weight_hh" | "bias_ih" | "bias_hh" if self._init == "uniform":
                if kind == "bias_hh" and not self._recurrent_bias:
                    return torch.zeros(shape)
                limit = 1 / math.sqrt(self._sizes_of(path)[1])
                return (2 * streams.uniform(key, purpose, 0, shape)[0] - 1) * limit
            case "weight_hh" if self._init == "orthogonal":
                H = shape[1]
                return _orthogonal(streams.normal(key.cpu(), purpose, 0, (3, H, H))[0])
            case "weight_ih" | "weight_hh":
                # TensorFlow's kernels: [I + H, 2 H] for the two gates, [I + H, H] for the candidate
                inputs, H = self._sizes_of(path)
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

    def _sizes_of(self, path: str) -> tuple[int, int]:
        """Inputs and hidden units of the GRU at a path below `encoders` ("": there)."""
        gru = self.encoders.get_submodule(path)
        assert isinstance(gru, StackedGRU)
        return gru.input_size, gru.hidden_size


def _orthogonal(normal: Tensor) -> Tensor:
    """Orthogonal matrices [3 H, H] of standard normals [3, H, H], one for each gate.

    Uniformly distributed: the signs of R's diagonal are undone (Mezzadri, 2007, section 5).
    """
    q, r = torch.linalg.qr(normal.double())
    signs = torch.sign(torch.diagonal(r, dim1=1, dim2=2))
    turned: Tensor = (q * signs[:, None]).flatten(0, 1).float()
    return turned


def _truncated_normal(uniform: Tensor) -> Tensor:
    """Standard normals cut at ±2 from uniforms in [0, 1), by the inverse distribution function."""
    share = math.erf(2 / math.sqrt(2))  # of a standard normal within ±2
    return (math.sqrt(2) * torch.erfinv((2 * uniform.double() - 1) * share)).float()
