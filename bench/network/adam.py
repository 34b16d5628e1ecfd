"""Adam for a stack: one pass over all parameters, each member with its own rate, decay and limits.

- Parameters and gradients of a stack live in two flat buffers, so that a step is a dozen operations
  whatever the network; parameters are views into theirs, gradients are copied into the other.
- Elementwise operations here round once: no multiply-and-add that one loop fuses and another does
  not. A member's numbers are then the same bits wherever its parameters lie in the buffer.
- A member whose loss or gradient is not finite stops there: its parameters keep their last values
  and its companions do not notice. Nothing of this waits for a GPU.
- Torch operations are the definition; on a GPU three kernels do it (gpu/adam.py), on a CPU one
  function (cpu/adam.py).
- Kingma & Ba, "Adam" (ICLR 2015), in torch.optim.Adam's form; TensorFlow's, "epsilon hat" in the
  paper, differs by where epsilon is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor, nn

from bench.network.cpu.adam import CompiledAdam
from bench.network.flat import ALIGNMENT, BETA1, BETA2, EPSILON, Flat, Span


class _Rule(Protocol):
    mean: Tensor  # first and second moments, laid out as the parameters
    square: Tensor

    @property
    def steps(self) -> int: ...

    @steps.setter
    def steps(self, number: int) -> None: ...

    def step(self, losses: Tensor) -> Tensor:
        """As `StackedAdam.step`, by the gradients in the buffer."""


class StackedAdam:
    """Adam over the parameters of M stacked members, each [E·M, …] with the member running fastest.

    learning_rate, l2, clip_norm [M] float: l2 adds l2 · w to the gradients of `decayed`, as the
    term ½ l2 ‖w‖² in the loss does; clip_norm limits the gradient's global norm (inf: no limit), as
    torch.nn.utils.clip_grad_norm_ does. raw_epsilon: TensorFlow's form. Takes the parameters over:
    they become views of its buffer.
    implementation: "gpu" is by Triton and asks nothing of host or device, so that a CUDA graph may
    record it; "cpu" is by C; "reference" is by torch.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        members: int,
        *,
        learning_rate: Tensor,
        l2: Tensor,
        clip_norm: Tensor,
        decayed: Sequence[Tensor] = (),
        raw_epsilon: bool = False,
        implementation: str = "reference",
    ) -> None:
        device = parameters[0].device
        sizes = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in parameters]
        starts = [0, *accumulate(sizes)]
        values = torch.zeros(starts[-1], device=device)
        gradients = torch.zeros_like(values)
        self._copies: list[Tensor] = []  # of the gradients, in their buffer
        spans = []
        for start, parameter in zip(starts, parameters, strict=False):
            own, copy = (
                buffer[start : start + parameter.numel()].view_as(parameter)
                for buffer in (values, gradients)
            )
            own.copy_(parameter.detach())
            parameter.data = own
            self._copies.append(copy)
            spans.append(
                Span(
                    start=start,
                    tensors=parameter.shape[0] // members,
                    size=parameter.numel() // parameter.shape[0],
                    width=parameter.shape[-1],
                    decayed=any(parameter is other for other in decayed),
                )
            )
        self.alive = torch.ones(members, dtype=torch.bool, device=device)
        rate, l2, clip = (x.to(device, torch.float32) for x in (learning_rate, l2, clip_norm))
        self._flat = flat = Flat(
            values, gradients, tuple(spans), rate, l2, clip, self.alive, raw_epsilon
        )
        self._rule: _Rule
        if implementation == "gpu":
            from bench.network.gpu import adam as optimiser_gpu

            self._rule = optimiser_gpu.FusedAdam(flat)
        elif implementation == "cpu":
            self._rule = CompiledAdam(flat)
        else:
            self._rule = _TorchAdam(
                flat,
                one_rate=bool((learning_rate == learning_rate[0]).all()),
                clips=bool(torch.isfinite(clip_norm).any()),
            )

    def step(self, losses: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """Update all members that are alive; returns the gradients' norms [M] before clipping.

        losses [M] and gradients (of the parameters, in their order): of this step. A member whose
        loss or norm is not finite is not alive any more (`alive` [M]) and never moves again.
        """
        torch._foreach_copy_(self._copies, list(gradients))
        return self._rule.step(losses)

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return self._rule.steps

    @steps.setter
    def steps(self, number: int) -> None:
        self._rule.steps = number

    def moments(self, member: int) -> tuple[Tensor, Tensor]:
        """A member's first and second moments, each [all numbers of its parameters]: copies."""
        mean, square = (
            torch.cat([part.flatten() for part in self._flat.of_member(buffer, member)])
            for buffer in (self._rule.mean, self._rule.square)
        )
        return mean, square

    def set_moments(self, member: int, mean: Tensor, square: Tensor) -> None:
        """Let a member go on with these moments, as `moments` gave them."""
        for buffer, values in ((self._rule.mean, mean), (self._rule.square, square)):
            parts = self._flat.of_member(buffer, member)
            sizes = [part.numel() for part in parts]
            for part, own in zip(parts, torch.split(values.to(buffer.device), sizes), strict=True):
                part.copy_(own.view_as(part))


@dataclass(frozen=True, eq=False)
class _Place:
    """One parameter's views into the buffers: [E, M, size], and its rows in the scratch buffer."""

    values: Tensor
    gradients: Tensor
    scratch: Tensor
    rows: Tensor
    decayed: bool

    @property
    def rows_per_member(self) -> int:
        return self.rows.shape[0] // (self.values.shape[0] * self.values.shape[1])


class _TorchAdam:
    """Adam by torch operations; clips: whether some member's norm is limited."""

    def __init__(self, flat: Flat, *, one_rate: bool, clips: bool) -> None:
        self._flat, self._one_rate, self._clips = flat, one_rate, clips
        self.mean = torch.zeros_like(flat.values)
        self.square = torch.zeros_like(flat.values)
        self._scratch = torch.zeros_like(flat.values)
        self._places: list[_Place] = []
        for span in flat.spans:
            shape = (span.tensors, flat.members, span.size)
            values, gradients, scratch = (
                buffer[span.start : span.start + shape[0] * shape[1] * shape[2]].view(shape)
                for buffer in (flat.values, flat.gradients, self._scratch)
            )
            rows = scratch.view(-1, span.width)
            self._places.append(_Place(values, gradients, scratch, rows, span.decayed))
        self._waits = flat.values.is_cuda  # asking it for a value would stall the step
        self.steps = 0

    def step(self, losses: Tensor) -> Tensor:
        """As `StackedAdam.step`, by the gradients in the buffer, which it changes."""
        flat, gradients, alive = self._flat, self._flat.gradients, self._flat.alive
        for place in self._places:
            if place.decayed:
                place.gradients.add_(place.values * flat.l2[:, None])
        norms = self._norms()
        alive &= torch.isfinite(losses) & torch.isfinite(norms)
        all_alive = not self._waits and bool(alive.all())
        if self._clips:
            limit = (flat.clip / (norms + 1e-6)).clamp(max=1.0)  # 1e-6: as clip_grad_norm_
            for place in self._places:
                place.gradients.mul_(limit[:, None])
        if not all_alive:
            for place in self._places:
                place.gradients.masked_fill_(~alive[:, None], 0.0)

        self.steps += 1
        new = self._scratch
        self.mean.mul_(BETA1).add_(torch.mul(gradients, 1 - BETA1, out=new))
        torch.mul(gradients, gradients, out=new)
        self.square.mul_(BETA2).add_(new.mul_(1 - BETA2))
        torch.sqrt(self.square, out=new)
        correction = (1 - BETA2**self.steps) ** 0.5
        if flat.raw_epsilon:
            new.add_(EPSILON).div_(correction)
        else:
            new.div_(correction).add_(EPSILON)
        torch.div(self.mean, new, out=new)
        rate = flat.rate / (1 - BETA1**self.steps)
        if all_alive and self._one_rate:
            new.mul_(rate[0])
        else:
            rate = torch.where(alive, rate, 0.0)
            for place in self._places:
                place.scratch.mul_(rate[:, None])
        flat.values.sub_(new)
        return norms

    def _norms(self) -> Tensor:
        """Global norms [M] of the gradients."""
        flat = self._flat
        torch.mul(flat.gradients, flat.gradients, out=self._scratch)
        total = torch.zeros(flat.members, device=self._scratch.device)
        for place in self._places:
            # row by row, then the rows: a sum that is one number may be split between threads
            by_tensor = place.rows.sum(1).view(-1, flat.members, place.rows_per_member).sum(2)
            for part in by_tensor:
                total += part
        return total.sqrt()
