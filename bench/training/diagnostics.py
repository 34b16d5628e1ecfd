"""What happens inside the cells of a trained stack, seen on a few development utterances.

- Kernels keep gates to themselves, but a GRU's gates follow from its states: they are computed here
  once more from the states that the kernel gave, with the formulas' own PyTorch functions.
- How far back an error reaches must not be blurred by attention, which hands every frame its own
  gradient: only the error that enters at the last frame is followed here.
- A handful of utterances is enough for shares over frames × units, so padding is allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activations.gru import SITES, StackedGRU
from activations.kernels.packing import Packing
from bench.data.batches import Batch
from bench.network.network import Network

LOW, HIGH = 0.05, 0.95  # a gate beyond is saturated: its slope is under a fifth of the steepest
DEAD = 1e-4  # a candidate that moves less over all frames of the sample carries nothing
REACH = 50  # steps back


def diagnose(network: Network, batch: Batch) -> list[dict[str, NDArray[np.float32]]]:
    """Diagnostics of each member; E encoders in the network's order, D directions.

    saturated [E, D, 2, 2]: share of frames × units whose update, reset gate (third axis) lies below
    0.05, above 0.95 (fourth). dead_units [E, D]: share of candidate units that move by less than
    1e-4. state_norm [E, D]: mean over frames of ‖h‖ / √H. gradient_reach [E, D, 51]: norm of the
    loss's gradient with respect to the state k steps before the last one a direction computes, of
    the part that enters at that last state, mean over the utterances long enough. NaN where the
    sample has no such frame.
    """
    found: list[dict[str, Tensor]] = []
    frames = batch.frames
    for number, recurrence in enumerate(network.recurrences):
        with torch.no_grad():
            states, _ = recurrence.gru(frames, batch.packing)
        errors = _errors(network, number, batch, states)
        found.append(_of_recurrence(recurrence.gru, frames, batch.packing, states, errors))
        frames = states
    by_member = {
        name: torch.cat(
            [own[name].view(-1, network.members, *own[name].shape[1:]) for own in found]
        ).transpose(0, 1)
        for name in found[0]
    }
    return [
        {name: values[m].cpu().numpy() for name, values in by_member.items()}
        for m in range(network.members)
    ]


def _of_recurrence(
    gru: StackedGRU, frames: Tensor, packing: Packing, states: Tensor, errors: Tensor
) -> dict[str, Tensor]:
    """Diagnostics of its G groups, [G, D, …], from what it heard, its states and their errors."""
    D = 2 if gru.bidirectional else 1
    views = [_direction(gru, frames, packing, states, d) for d in range(D)]
    errors = errors.view(len(states), D, -1)
    ends = (packing.last_frames, packing.first_frames)
    return {
        "saturated": torch.stack([_saturated(view) for view in views], 1),
        "dead_units": torch.stack([_dead(view) for view in views], 1),
        "state_norm": torch.stack([_state_norm(view) for view in views], 1),
        "gradient_reach": torch.stack(
            [_reach(view, _at(errors[:, d], ends[d])) for d, view in enumerate(views)], 1
        ),
    }


Site = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class _Direction:
    """One direction of a recurrence's G groups on padded frames, time counted as it computes.

    gates_x [G, T, B, 3H], previous and states [G, T, B, H], real [G, T, B] bool, lengths [G, B],
    w [G, 3H, H], b [G, 3H]; sites: update, reset, candidate with their learnt parameters in.
    """

    gates_x: Tensor
    previous: Tensor
    states: Tensor
    real: Tensor
    lengths: Tensor
    w: Tensor
    b: Tensor
    sites: tuple[Site, Site, Site]
    reset_order: str

    def gates(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Update, reset and candidate of x [G, n, 3H] and the states before, h [G, n, H]."""
        H = h.shape[-1]
        update, reset, candidate = self.sites
        x_r, x_z, x_n = torch.split(x, H, -1)
        w, b = self.w.transpose(1, 2), self.b[:, None]
        h_r, h_z = torch.split(torch.baddbmm(b[..., : 2 * H], h, w[..., : 2 * H]), H, -1)
        r, z = reset(x_r + h_r), update(x_z + h_z)
        if self.reset_order == "after":
            return z, r, candidate(x_n + r * torch.baddbmm(b[..., 2 * H :], h, w[..., 2 * H :]))
        return z, r, candidate(x_n + torch.baddbmm(b[..., 2 * H :], r * h, w[..., 2 * H :]))

    def all_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        """Update, reset and candidate of all frames, each [G, T, B, H]; padding holds anything."""
        shape = self.states.shape
        flat = self.gates(self.gates_x.flatten(1, 2), self.previous.flatten(1, 2))
        update, reset, candidate = (gate.view(shape) for gate in flat)
        return update, reset, candidate


def _direction(
    gru: StackedGRU, heard: Tensor, packing: Packing, states: Tensor, direction: int
) -> _Direction:
    """What a direction did, from the frames [N, I] it heard and the states [N, D·H] that came."""
    cell, suffix = gru.cell, ("", "_reverse")[direction]
    values = {name: p.detach() for name, p in gru.named_parameters()}
    H = gru.hidden_size
    frames = packing.unpack(heard)
    w_ih, b_ih = values[f"weight_ih_l0{suffix}"], values[f"bias_ih_l0{suffix}"]
    gates_x = torch.einsum("gtbi,goi->gtbo", frames, w_ih) + b_ih[:, None, None]
    own = packing.unpack(states[:, direction * H : (direction + 1) * H])
    time = torch.arange(packing.T, device=frames.device)
    real = time[:, None] < packing.lengths[:, None]
    if direction:  # padding moves behind again once every row is turned on its own
        turn = (packing.lengths[:, None] - 1 - time[:, None]).clamp(min=0)  # [G, T, B]
        gates_x, own = (_turned(x, turn, real) for x in (gates_x, own))
    previous = torch.cat([torch.zeros_like(own[:, :1]), own[:, :-1]], 1)
    sites = []
    for site, formula in zip(SITES, cell.formulas, strict=True):
        name = f"{site}_l0{suffix}"
        learnt = [] if name not in values else list(values[name].unbind(1))  # each [G] or [G, H]
        sites.append(_site(formula.torch_function, [p.view(len(p), 1, -1) for p in learnt]))
    update, reset, candidate = sites
    return _Direction(
        gates_x,
        previous,
        own,
        real,
        packing.lengths,
        values[f"weight_hh_l0{suffix}"],
        values[f"bias_hh_l0{suffix}"],
        (update, reset, candidate),
        cell.reset_order,
    )


def _site(function: Callable[..., Tensor], parameters: list[Tensor]) -> Site:
    return lambda x: function(x, *parameters)


def _turned(x: Tensor, turn: Tensor, real: Tensor) -> Tensor:
    """X [G, T, B, ·] with each row's own frames in reverse order, zeros behind them."""
    return x.gather(1, turn[..., None].expand_as(x)) * real[..., None]


def _errors(network: Network, number: int, batch: Batch, states: Tensor) -> Tensor:
    """Gradient [N, D·H] of each utterance's own loss with respect to recurrence `number`'s states,
    as it comes from what is above it.
    """
    leaf = states.detach().requires_grad_()
    logits = network.head(leaf, batch.packing, above=number)
    loss = nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), reduction="sum"
    )
    (errors,) = torch.autograd.grad(loss, leaf)
    return errors


def _at(values: Tensor, frames: Tensor) -> Tensor:
    """Values [N, H] at frames [G, B], zeros where there is none (-1): [G, B, H]."""
    if len(values) == 0:
        return values.new_zeros(*frames.shape, values.shape[1])
    picked = values.index_select(0, frames.clamp(min=0).flatten()).view(*frames.shape, -1)
    return picked * (frames >= 0)[..., None]


def _mean(values: Tensor, real: Tensor) -> Tensor:
    """Mean [G] of values [G, …] where real [G, …]; NaN where nothing is."""
    axes = tuple(range(1, real.dim()))
    return torch.where(real, values, 0.0).sum(axes) / real.sum(axes)


@torch.no_grad()
def _saturated(view: _Direction) -> Tensor:
    """Shares [G, 2, 2] of update and reset gates that are low, high."""
    update, reset, _ = view.all_gates()
    shares = [
        _mean(beyond.float().mean(-1), view.real)
        for gate in (update, reset)
        for beyond in (gate < LOW, gate > HIGH)
    ]
    return torch.stack(shares, 1).view(-1, 2, 2)


@torch.no_grad()
def _dead(view: _Direction) -> Tensor:
    """Share [G] of units whose candidate hardly moves over the sample."""
    _, _, candidate = view.all_gates()
    real = view.real[..., None]
    highest = candidate.masked_fill(~real, -torch.inf).amax((1, 2))
    lowest = candidate.masked_fill(~real, torch.inf).amin((1, 2))
    dead = (highest - lowest < DEAD).float().mean(1)
    return torch.where(view.real.any(2).any(1), dead, torch.nan)


def _state_norm(view: _Direction) -> Tensor:
    """Mean [G] over frames of ‖h‖ / √H."""
    return _mean(view.states.square().mean(-1).sqrt(), view.real)


def _reach(view: _Direction, error: Tensor) -> Tensor:
    """Norms [G, 51] of error [G, B, H] carried back from each row's last step, k = 0 … 50."""
    norms = []
    for back in range(REACH + 1):
        norms.append(_mean(error.norm(dim=-1), view.lengths > back))
        time = (view.lengths - 1 - back).clamp(min=0)[:, None, :, None]
        x, h = (
            values.gather(1, time.expand(-1, 1, -1, values.shape[-1]))[:, 0]
            for values in (view.gates_x, view.previous)
        )
        h = h.detach().requires_grad_()
        update, _, candidate = view.gates(x, h)
        after = (1 - update) * candidate + update * h
        (error,) = torch.autograd.grad(after, h, error)
    return torch.stack(norms, 1)
