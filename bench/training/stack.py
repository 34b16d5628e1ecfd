"""M members in training: networks, optimiser, streams, and the step that drives them.

- No operation mixes members, and all that a member draws is its own: the same alone and in a stack.
- A step asks nothing of the device, so that a GPU never waits for Python; where the GPU kernels
  run, it is repeated from a recording (bench.training.recorded).
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from bench.data.batches import Batch, Hearing, Order, TrainingData, gather, gather_in_room
from bench.data.members import Member
from bench.network.adam import StackedAdam
from bench.network.dropout import DropoutSource
from bench.network.kinds import network_class
from bench.network.loss import smoothed_cross_entropy
from bench.training.recorded import RecordedStep


class Stack:
    """M members in training: networks, optimiser, streams, and the step that drives them.

    steps: taken so far. diverged_at [M]: the step, from 1, at which a member stopped being finite;
    0 for the others. hearing: what it hears in training. dropout_of_choice: what evaluations that
    choose a checkpoint draw, if anything. recorded: what repeats the step, where the GPU kernels
    run.

    Raises ValueError for members that cannot share a stack and for a fold that `data` does not
    have.
    """

    def __init__(
        self, members: Sequence[Member], data: TrainingData, implementation: str = "auto"
    ) -> None:
        _check(members, data)
        hypers = [member.hyper for member in members]
        keys = torch.tensor([member.stream for member in members], device=data.device)
        self.network = network_class(hypers[0].kind)(
            members[0].variant,
            hypers[0],
            keys,
            features=data.frames.shape[1],
            classes=len(data.examples.classes),
            implementation=implementation,
        )
        self.hearing = Hearing.of(members, data, self.network.utterances)
        self._parameters = [each for each in self.network.parameters() if each.requires_grad]
        self._implementation = self.network.implementation
        self.optimiser = StackedAdam(
            self._parameters,
            len(members),
            learning_rate=torch.tensor([h.learning_rate for h in hypers]),
            l2=torch.tensor([h.l2 for h in hypers]),
            clip_norm=torch.tensor([h.clip_norm or torch.inf for h in hypers]),
            decayed=self.network.dense_parameters,
            raw_epsilon=hypers[0].adam == "tensorflow",
            implementation=self._implementation,
        )
        self.diverged_at = torch.zeros(len(members), dtype=torch.int64, device=data.device)
        self.steps = 0
        self._examples = torch.empty(len(members), 0, dtype=torch.int64)  # of the last step
        self._sums = torch.zeros(2, len(members), device=data.device)
        self._summed = 0
        self._number = torch.zeros(
            1, dtype=torch.int64, device=data.device
        )  # steps, for the device
        self._data = data
        self._order = Order(members, data)
        dropout = partial(
            DropoutSource,
            keys,
            torch.tensor([h.dropout for h in hypers]),
            features=data.frames.shape[1],
            width=self.network.dropped_width,
            dense=hypers[0].dense_size,
            device=data.device,
            implementation=self._implementation,
        )
        self._dropout = dropout()
        self.dropout_of_choice = None
        if hypers[0].select_with_dropout:
            self.dropout_of_choice = dropout(purpose="dropout/choice")
        self._smoothing = torch.tensor([h.label_smoothing for h in hypers], device=data.device)
        self.recorded: RecordedStep | None = None
        if self._implementation == "gpu":
            shape = len(members), hypers[0].batch_size
            lengths = partial(self.hearing.lengths, data.lengths)
            self.recorded = RecordedStep(self._train_in_room, lengths, shape, data.device)

    @property
    def frames(self) -> int:
        """Real frames of the last step, of all members and encoders."""
        return int(self.hearing.lengths(self._data.lengths, self._examples).sum())

    def step(self) -> None:
        """Train all members on their next batch."""
        self._examples = examples = self._order.examples(self.steps)
        if self.recorded is None:
            self._train(gather(self._data, examples, hearing=self.hearing), self.steps)
        else:
            self.recorded(examples)
        self.steps += 1
        self._summed += 1

    def take_means(self) -> tuple[list[float], list[float]]:
        """Training losses (without the L2 term) and gradient norms, means since the last call."""
        losses, norms = (self._sums / max(self._summed, 1)).tolist()
        self._sums.zero_()
        self._summed = 0
        return losses, norms

    def freeze(self, finite: Tensor) -> None:
        """Let the members that are not finite [M] (their evaluation was not) diverge here."""
        self.optimiser.alive &= finite.to(self.diverged_at.device)
        self._record_divergence()

    def state(self, member: int) -> dict[str, Tensor]:
        """All of a member that the steps to come depend on but its weights: copies."""
        mean, square = self.optimiser.moments(member)
        diverged_at, alive = self.diverged_at[member], self.optimiser.alive[member]
        return {
            "mean": mean,
            "square": square,
            "sums": self._sums[:, member].clone(),
            "counts": torch.tensor([int(diverged_at), int(alive), self._summed]),
        }

    def go_on(self, steps: int, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Go on after so many steps, of each member with what `state` gave of it."""
        self.steps = self.optimiser.steps = steps
        self._number.fill_(steps)
        for m, state in enumerate(states):
            self.optimiser.set_moments(m, state["mean"], state["square"])
            self._sums[:, m] = state["sums"].to(self._sums.device)
            diverged_at, alive, self._summed = state["counts"].tolist()
            self.diverged_at[m] = diverged_at
            self.optimiser.alive[m] = bool(alive)

    def _train_in_room(self, examples: Tensor, room: int, steps: int) -> None:
        """A step whose shapes, and all it asks of the host, are the same for every batch."""
        batch = gather_in_room(self._data, examples, room, steps, self.hearing)
        self._train(batch, self._number)

    def _train(self, batch: Batch, step: int | Tensor) -> None:
        masks = self._dropout.draw(step, batch.packing)
        if masks is not None:
            batch.frames[: len(masks.inputs)] *= masks.inputs
        logits = self.network(batch.frames, batch.packing, masks)
        losses = smoothed_cross_entropy(
            logits, batch.labels, self._smoothing, implementation=self._implementation
        )
        gradients = torch.autograd.grad(losses.sum(), self._parameters)
        losses = losses.detach()
        self._sums += torch.stack([losses, self.optimiser.step(losses, gradients)])
        self._number += 1
        self._record_divergence()

    def _record_divergence(self) -> None:
        just_diverged = ~self.optimiser.alive & (self.diverged_at == 0)
        torch.where(just_diverged, self._number, self.diverged_at, out=self.diverged_at)


def _check(members: Sequence[Member], data: TrainingData) -> None:
    if not members:
        raise ValueError("a stack has at least one member")
    groups = {member.stack_group for member in members}
    if len(groups) > 1:
        raise ValueError(f"members of {len(groups)} stack groups cannot share a stack")
    for member in members:
        if member.fold not in data.folds:
            known = ", ".join(data.folds)
            raise ValueError(f"no fold {member.fold!r}; there are {known}")
