"""A whole training step of IAAN, as a careful user of torch writes it: what people wait for.

- Contestants train the same network on the same examples, whose lengths are IEMOCAP's: choice of
  examples, dropout, three encoders, attention, loss, gradients, Adam.
- The user is careful: sequences are packed, attention is masked, Adam is fused, features lie in
  memory already. Where the activation is not tanh, the loop walks packed sequences, so that it does
  not compute padding, either.
- torch.nn.GRU has tanh, whatever the activation.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from activations.formula.formula import Formula
from bench.data.batches import TrainingData
from bench.data.members import Activation, Hyperparameters, Member, Variant
from bench.speed.layers.contestants import Entrant, eager_activation
from bench.speed.layers.shape import LayerShape
from bench.speed.step_time import iemocap_like_data
from bench.training.stack import Stack

EXAMPLES = 1000
FOLD = "session 1"
CONTESTANTS = ("gateswap", "torch.nn.GRU", "eager")


def enter_step(
    contestant: str, formula: Formula, shape: LayerShape, device: torch.device
) -> Entrant | None:
    """Set a contestant up for steps of a shape that is a whole step; None where it has none."""
    if contestant not in CONTESTANTS:
        return None
    data = iemocap_like_data(EXAMPLES, device=device)
    hyper = Hyperparameters(hidden_size=shape.H, batch_size=shape.B)
    run: Callable[[], object]
    if contestant == "gateswap":
        variant = Variant(Activation(formula.name, formula.text))
        run = Stack([Member(variant, FOLD, 0, hyper)], data).step
    else:
        used = None if contestant == "torch.nn.GRU" else formula
        run = UsersTraining(PlainIAAN(data, hyper, used), data, hyper).step
    train = torch.from_numpy(data.folds[FOLD].train)
    mean = float(data.lengths[:, train].double().mean(1).sum())
    return Entrant(
        contestant=contestant,
        activation="tanh" if contestant == "torch.nn.GRU" else formula.name,
        shape=shape,
        run=run,
        batches=1,
        frames=round(mean * hyper.batch_size),
    )


class PackedLoop(nn.Module):
    """The loop everybody writes, over packed sequences: rows that have ended are not computed."""

    def __init__(self, inputs: int, hidden: int, formula: Formula) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden)  # its weights
        self.activation = eager_activation(formula)
        self.learnt = nn.ParameterList(torch.tensor(value) for value in formula.initial)

    def forward(self, packed: PackedSequence) -> tuple[PackedSequence, None]:
        """Every state, packed as the input is."""
        w_ih, w_hh, b_ih, b_hh = self.gru.parameters()
        sizes = packed.batch_sizes.tolist()
        h = packed.data.new_zeros(sizes[0], w_hh.shape[1])
        states = []
        for gates_x in torch.split(functional.linear(packed.data, w_ih, b_ih), sizes):
            x_r, x_z, x_n = gates_x.chunk(3, 1)
            h = h[: len(gates_x)]
            h_r, h_z, h_n = functional.linear(h, w_hh, b_hh).chunk(3, 1)
            r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
            n = self.activation(x_n + r * h_n, *self.learnt)
            h = n + z * (h - n)
            states.append(h)
        return PackedSequence(torch.cat(states), *packed[1:]), None


class PlainIAAN(nn.Module):
    """IAAN for one member in torch's own modules: GRUs of torch, or loops with an activation."""

    def __init__(self, data: TrainingData, hyper: Hyperparameters, formula: Formula | None) -> None:
        super().__init__()
        inputs, H, A = data.frames.shape[1], hyper.hidden_size, hyper.attention_size
        self.encoders = nn.ModuleList(
            nn.GRU(inputs, H) if formula is None else PackedLoop(inputs, H, formula)
            for _ in range(3)
        )
        self.keys = nn.ModuleList(nn.Linear(H, A) for _ in range(3))
        self.scores = nn.ModuleList(nn.Linear(A, 1, bias=False) for _ in range(3))
        self.contexts = nn.ModuleList(nn.Linear(H, A, bias=False) for _ in range(2))
        self.dense = nn.Linear(3 * H, hyper.dense_size)
        self.norm = nn.LayerNorm(hyper.dense_size)
        self.output = nn.Linear(hyper.dense_size, len(data.examples.classes))
        self.dropout = nn.Dropout(hyper.dropout)
        self.to(data.device)

    def forward(self, padded: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """Logits [B, C] of current, own and other utterance, each [T, B, I]; lengths [3, B]."""
        current, own, other = (
            self._states(number, frames, lengths[number]) for number, frames in enumerate(padded)
        )
        heard = [
            self._pooled(number, states, lengths[number], None)
            for number, states in ((1, own), (2, other))
        ]
        offer = self.contexts[0](heard[0]) + self.contexts[1](heard[1])
        focus = self._pooled(0, self.dropout(current), lengths[0], offer)
        hidden = self.dropout(self.dense(torch.cat([focus, *heard], 1)))
        logits: Tensor = self.output(torch.relu(self.norm(hidden)))
        return logits

    def _states(self, number: int, frames: Tensor, lengths: Tensor) -> Tensor:
        """States [T, B, H]. A missing utterance, of no frames, is heard as one and masked after."""
        if number == 0:
            frames = self.dropout(frames)
        packed = pack_padded_sequence(frames, lengths.clamp(min=1), enforce_sorted=False)
        states: Tensor = pad_packed_sequence(self.encoders[number](packed)[0])[0]
        return states

    def _pooled(self, number: int, states: Tensor, lengths: Tensor, offer: Tensor | None) -> Tensor:
        """Mean [B, H] of the states with weights of attention over each row's own frames."""
        keys = self.keys[number](states)
        scores = self.scores[number](torch.tanh(keys if offer is None else keys + offer))[..., 0]
        own = torch.arange(len(states))[:, None] < lengths
        own = own.to(states.device)
        weights = torch.softmax(scores.masked_fill(~own, -1e30), 0) * own
        return torch.einsum("tb,tbh->bh", weights, states)


class UsersTraining:
    """Training of a PlainIAAN as its author would do it."""

    def __init__(self, network: PlainIAAN, data: TrainingData, hyper: Hyperparameters) -> None:
        self._network, self._data, self._size = network, data, hyper.batch_size
        self._train = torch.from_numpy(data.folds[FOLD].train)
        self._order = torch.empty(0, dtype=torch.int64)
        dense = [*network.dense.parameters(), *network.output.parameters()]
        rest = [p for p in network.parameters() if all(p is not other for other in dense)]
        groups: list[dict[str, Any]] = [
            {"params": dense, "weight_decay": hyper.l2},
            {"params": rest},
        ]
        self._optimiser = torch.optim.Adam(groups, lr=hyper.learning_rate, fused=True)
        self._loss = nn.CrossEntropyLoss(label_smoothing=hyper.label_smoothing)

    def step(self) -> None:
        """Train on the next batch."""
        if len(self._order) < self._size:
            shuffled = self._train[torch.randperm(len(self._train))]
            self._order = torch.cat([self._order, shuffled])
        examples, self._order = self._order[: self._size], self._order[self._size :]
        self._optimiser.zero_grad(set_to_none=True)
        logits = self._network(*padded(self._data, examples))
        self._loss(logits, self._data.labels[examples.to(self._data.device)]).backward()
        self._optimiser.step()


def padded(data: TrainingData, examples: Tensor) -> tuple[list[Tensor], Tensor]:
    """The three utterances of examples [B], each [T, B, I] and zero behind its end; lengths."""
    lengths = data.lengths[:, examples]
    batches = []
    for own, first in zip(lengths, data.offsets[:, examples.to(data.device)], strict=True):
        time = torch.arange(max(int(own.max()), 1))[:, None]
        inside = (time < own).to(data.device)
        index = (first + time.to(data.device)) * inside
        frames = data.frames[index.flatten()].view(*index.shape, -1)
        batches.append(frames * inside[..., None])
    return batches, lengths


def step_shape(hidden: int) -> LayerShape:
    """A whole step at H hidden units: IAAN's three encoders, 64 rows as long as IEMOCAP's."""
    return LayerShape(T=500, B=64, I=45, H=hidden, R=3, lengths="iemocap", step=True)
