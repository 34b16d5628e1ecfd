"""Adam for a stack: one pass over all parameters, each member with its own rate, decay and limits.

- Parameters and gradients of a stack live in two flat buffers, so that a step is a dozen operations
  whatever the network; they are views into it, and autograd adds into the gradients in place.
- Elementwise operations here round once: no multiply-and-add that one loop fuses and another does
  not. A member's numbers are then the same bits wherever its parameters lie in the buffer.
- A member whose loss or gradient is not finite stops there: its parameters keep their last values
  and its companions do not notice. Nothing of this waits for a GPU.
- Kingma & Ba, "Adam" (ICLR 2015), in torch.optim.Adam's form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba, and the defaults of torch and TensorFlow
ALIGNMENT = 16  # floats, a cache line: what vector loads of a kernel like best


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


class StackedAdam:
    """Adam over the parameters of M stacked members, each [E·M, …] with the member running fastest.

    learning_rate, l2, clip_norm [M] float: l2 adds l2 · w to the gradients of `decayed`, as the
    term ½ l2 ‖w‖² in the loss does; clip_norm limits the gradient's global norm (inf: no limit), as
    torch.nn.utils.clip_grad_norm_ does. Takes the parameters over: they become views of its buffer.
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
    ) -> None:
        device = parameters[0].device
        sizes = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in parameters]
        starts = [0, *accumulate(sizes)]
        self._values = torch.zeros(starts[-1], device=device)
        self._gradients = torch.zeros_like(self._values)
        self._mean = torch.zeros_like(self._values)
        self._square = torch.zeros_like(self._values)
        self._scratch = torch.zeros_like(self._values)
        self._members = members
        self._places: list[_Place] = []
        for start, parameter in zip(starts, parameters, strict=False):
            values, gradients, scratch = (
                buffer[start : start + parameter.numel()]
                for buffer in (self._values, self._gradients, self._scratch)
            )
            values.view_as(parameter).copy_(parameter.detach())
            parameter.data = values.view_as(parameter)
            parameter.grad = gradients.view_as(parameter)
            shape = (parameter.shape[0] // members, members, -1)
            self._places.append(
                _Place(
                    values.view(shape),
                    gradients.view(shape),
                    scratch.view(shape),
                    scratch.view(-1, parameter.shape[-1]),
                    any(parameter is other for other in decayed),
                )
            )
        self._rate = learning_rate.to(device, torch.float32)
        self._l2 = l2.to(device, torch.float32)
        self._clip = clip_norm.to(device, torch.float32)
        self._one_rate = bool((learning_rate == learning_rate[0]).all())
        self._clips = bool(torch.isfinite(clip_norm).any())
        self._waits = device.type == "cuda"  # asking it for a value would stall the step
        self.alive = torch.ones(members, dtype=torch.bool, device=device)
        self._steps = 0

    def zero_grad(self) -> None:
        """Set all gradients to zero, in place."""
        self._gradients.zero_()

    def step(self, losses: Tensor) -> Tensor:
        """Update all members that are alive; returns the gradients' norms [M] before clipping.

        losses [M]: of this step. A member whose loss or norm is not finite is not alive any more
        (`alive` [M]) and never moves again.
        """
        for place in self._places:
            if place.decayed:
                place.gradients.add_(place.values * self._l2[:, None])
        norms = self._norms()
        self.alive &= torch.isfinite(losses) & torch.isfinite(norms)
        all_alive = not self._waits and bool(self.alive.all())
        if self._clips:
            limit = (self._clip / (norms + 1e-6)).clamp(max=1.0)  # 1e-6: as clip_grad_norm_
            for place in self._places:
                place.gradients.mul_(limit[:, None])
        if not all_alive:
            for place in self._places:
                place.gradients.masked_fill_(~self.alive[:, None], 0.0)

        self._steps += 1
        new = self._scratch
        self._mean.mul_(BETA1).add_(torch.mul(self._gradients, 1 - BETA1, out=new))
        torch.mul(self._gradients, self._gradients, out=new)
        self._square.mul_(BETA2).add_(new.mul_(1 - BETA2))
        torch.sqrt(self._square, out=new)
        new.div_((1 - BETA2**self._steps) ** 0.5).add_(EPSILON)
        torch.div(self._mean, new, out=new)
        rate = self._rate / (1 - BETA1**self._steps)
        if all_alive and self._one_rate:
            new.mul_(rate[0])
        else:
            rate = torch.where(self.alive, rate, 0.0)
            for place in self._places:
                place.scratch.mul_(rate[:, None])
        self._values.sub_(new)
        return norms

    def _norms(self) -> Tensor:
        """Global norms [M] of the gradients."""
        torch.mul(self._gradients, self._gradients, out=self._scratch)
        total = torch.zeros(self._members, device=self._scratch.device)
        for place in self._places:
            # row by row, then the rows: a sum that is one number may be split between threads
            by_tensor = place.rows.sum(1).view(-1, self._members, place.rows_per_member).sum(2)
            for part in by_tensor:
                total += part
        return total.sqrt()
