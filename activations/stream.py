"""One step of a stream: a batch of one frame on the CPU, without gradients.

- A kernel first packs its weights, which pays for a sequence and not for a step. A step is torch's
  own products and the formulas, as the reference has them.
- Called a thousand times a second, so it asks no question twice.
"""

from typing import cast

import torch
from torch import Tensor, nn

from activations.arguments import check_frames, check_state, is_observed, under_autocast
from activations.kernels import dispatch
from activations.kernels.cell import SITES
from activations.kernels.reference import one_step
from activations.recurrent import Recurrent


def is_step(gru: Recurrent, given: Tensor, hx: Tensor | None) -> bool:
    """Whether this is one step of a stream: on the CPU, without gradients, as things are."""
    if torch.is_grad_enabled() or given.dim() != 3:
        return False
    weight = _tensor(gru, "weight_hh_l0")
    return (
        given.shape[1 if gru.batch_first else 0] == 1
        and weight.device.type == "cpu"
        and weight.dtype in (torch.float32, torch.float64)
        and not is_observed(given, hx, weight)
        and not under_autocast(given)
        and not torch._C._are_functorch_transforms_active()
        and not dispatch.forward_mode()
    )


def step(gru: Recurrent, given: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
    """The layers' step from hx [L·D, B, H]: given and output as the GRU's own, T being 1."""
    weight = _tensor(gru, "weight_hh_l0")
    frames = given.squeeze(1 if gru.batch_first else 0)
    frames = check_frames(frames, gru.input_size, weight)
    L, D, B, H = gru.num_layers, len(gru.suffixes), len(frames), gru.hidden_size
    if hx is not None:
        hx = check_state(hx, (L * D, B, H), weight)
    gru.require_runnable(weight.dtype)
    dropout = gru.dropout if gru.training else 0.0
    final: list[Tensor] = []
    for layer in range(L):
        if layer and dropout:
            frames = nn.functional.dropout(frames, dropout)
        states = []
        for suffix in gru.suffixes:
            name = f"_l{layer}{suffix}"
            h = frames.new_zeros(B, H) if hx is None else hx[len(final)]
            states.append(_direction(gru, name, frames, h))
            final.append(states[-1])
        frames = states[0] if D == 1 else torch.cat(states, 1)
    return frames.unsqueeze(1 if gru.batch_first else 0), torch.stack(final)


def _direction(gru: Recurrent, name: str, x: Tensor, h: Tensor) -> Tensor:
    values = [
        _tensor(gru, site + name) if formula.parameters else None
        for site, formula in zip(SITES, gru.cell.formulas, strict=True)
    ]
    return one_step(
        x,
        h,
        _tensor(gru, "weight_ih" + name),
        _tensor(gru, "weight_hh" + name),
        _tensor(gru, "bias_ih" + name) if gru.bias else None,
        _tensor(gru, "bias_hh" + name) if gru.bias else None,
        gru.cell,
        values,
    )


def _tensor(gru: Recurrent, name: str) -> Tensor:
    """A weight, by the short way where it is a parameter and not made from one (weight_norm)."""
    found = gru._parameters.get(name)
    return cast(Tensor, getattr(gru, name)) if found is None else found
