"""What a network hears of its encoders' states: means by attention, the contexts' and the current.

- Contexts are attended to by themselves. What they held is an offer that is added to the keys of
  the current utterance's frames: the interaction of Yeh et al. (ICASSP 2019). A network without
  contexts is the same without an offer.
- In torch's operations and on the GPU it is put together of its parts; on the CPU it is one
  function over attention.c, which reads and writes states once each way, dropout included.
"""

from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from activations.kernels.cpu import projection
from activations.kernels.cpu.memory import empty
from activations.kernels.packing import Packing
from activations.kernels.projection import project
from bench.network.attention import attention
from bench.network.cpu import attention as attention_cpu
from bench.network.cpu.attention import Given, Gradients, Kept


class Attentions(NamedTuple):
    """The parameters of E · M attentions, encoder by encoder, the current utterance's first.

    weight [E M, A, W], bias and score [E M, A]; offers [(E − 1) M, A, W]: what the contexts' means
    add to the keys of the current utterance; None without contexts (E = 1).
    """

    weight: Tensor
    bias: Tensor
    score: Tensor
    offers: Tensor | None


def heard(
    states: Tensor,
    mask: Tensor | None,
    by: Attentions,
    packing: Packing,
    *,
    implementation: str = "reference",
) -> Tensor:
    """Means of each row's states, the encoders' side by side: [M · B, E · W].

    states [N, W] of E · M groups; mask: multiplied with the current ones, [Nc, W] or None.
    Differentiable in the states and all parameters. implementation: as `Network.implementation`.
    """
    if implementation == "cpu":
        found: Tensor = _Heard.apply(states, mask, *by, packing)  # type: ignore[no-untyped-call]
        return found
    M = _members(by, packing)
    end, on = packing.bounds[M], implementation
    current, contexts = torch.split(states, [end, packing.N - end])
    if mask is not None:
        current = current * mask
    others: tuple[Tensor, ...] = ()
    offer = None
    if by.offers is not None:
        part = groups(packing, M, packing.groups)
        keys = project(contexts, by.weight[M:], by.bias[M:], part, implementation=on)
        pooled = attention(contexts, keys, None, by.score[M:], part, implementation=on)
        rows = Packing.full(len(by.offers), 1, packing.rows, device=states.device)
        offer = project(pooled, by.offers, None, rows, implementation=on)
        offer = offer.view(-1, M * packing.rows, offer.shape[1]).sum(0)
        others = torch.split(pooled, M * packing.rows)
    part = groups(packing, 0, M)
    keys = project(current, by.weight[:M], by.bias[:M], part, implementation=on)
    focus = attention(current, keys, offer, by.score[:M], part, implementation=on)
    return torch.cat([focus, *others], 1)


def groups(packing: Packing, first: int, last: int) -> Packing:
    """Groups first … last − 1 of a packing, their frames counted from the first of them."""
    start = packing.bounds[first]
    part = _part(packing, first, last)
    return replace(
        part,
        starts=part.starts - start,
        bounds=tuple(bound - start for bound in part.bounds),
        N=packing.bounds[last] - start,
    )


def _part(packing: Packing, first: int, last: int) -> Packing:
    """The same, their frames counted as in the whole packing."""
    return replace(
        packing,
        lengths=packing.lengths[first:last],
        order=packing.order[first:last],
        batch_sizes=packing.batch_sizes[first:last],
        starts=packing.starts[first:last],
        bounds=packing.bounds[first : last + 1],
    )


def _members(by: Attentions, packing: Packing) -> int:
    return packing.groups - (0 if by.offers is None else len(by.offers))


class _Heard(torch.autograd.Function):
    """`heard` by attention.c."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        states, mask, *parameters, packing = inputs
        by = Attentions(*parameters)
        M, save = _members(by, packing), any(ctx.needs_input_grad)
        kept, offer = None, None
        others: tuple[Tensor, ...] = ()
        if by.offers is not None:
            kept = attention_cpu.forward(
                _of_contexts(states, by, M), _part(packing, M, packing.groups), save=save
            )
            of_each = projection.forward(kept.pooled, by.offers, None, _rows(by.offers, packing))
            offer = of_each.view(-1, M * packing.rows, of_each.shape[1]).sum(0)
            others = torch.split(kept.pooled, M * packing.rows)
        given = _of_current(states, mask, by, M, offer)
        focus = attention_cpu.forward(given, _part(packing, 0, M), save=save)
        if save:
            ctx.packing, ctx.contexts = packing, kept is not None
            ctx.save_for_backward(states, mask, *by, offer, *focus, *(kept or ()))
        return torch.cat([focus.pooled, *others], 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, mask, weight, bias, score, offers, offer, *rest = ctx.saved_tensors
        by, packing = Attentions(weight, bias, score, offers), ctx.packing
        if torch.is_grad_enabled():  # somebody differentiates this again
            return _differentiable(grad, states, mask, by, packing, ctx.needs_input_grad)
        M, W = _members(by, packing), states.shape[1]
        d_states = empty(*states.shape)
        d_weight, d_bias, d_score = map(torch.empty_like, by[:3])
        d_offer = None if offer is None else torch.empty_like(offer)
        attention_cpu.backward(
            grad[:, :W],
            _of_current(states, mask, by, M, offer),
            Kept(*rest[:5]),
            _part(packing, 0, M),
            Gradients(d_states, d_weight[:M], d_bias[:M], d_score[:M], d_offer),
        )
        if offers is None or d_offer is None:
            return d_states, None, d_weight, d_bias, d_score, None, None
        kept, E = Kept(*rest[5:]), packing.groups // M
        through, d_offers, _ = projection.backward(
            d_offer.repeat(E - 1, 1), kept.pooled, offers, _rows(offers, packing),
            by_frames=True, by_bias=False,
        )  # fmt: skip
        d_pooled = torch.cat(torch.split(grad[:, W:], W, 1))
        attention_cpu.backward(
            d_pooled.add_(cast(Tensor, through)),
            _of_contexts(states, by, M),
            kept,
            _part(packing, M, packing.groups),
            Gradients(d_states, d_weight[M:], d_bias[M:], d_score[M:], None),
        )
        return d_states, None, d_weight, d_bias, d_score, d_offers, None


def _of_contexts(states: Tensor, by: Attentions, M: int) -> Given:
    return Given(states, None, by.weight[M:], by.bias[M:], by.score[M:], None)


def _of_current(
    states: Tensor, mask: Tensor | None, by: Attentions, M: int, offer: Tensor | None
) -> Given:
    return Given(states, mask, by.weight[:M], by.bias[:M], by.score[:M], offer)


def _rows(offers: Tensor, packing: Packing) -> tuple[int, ...]:
    """Bounds of the contexts' rows, as `projection` takes them."""
    return tuple(range(0, (len(offers) + 1) * packing.rows, packing.rows))


def _differentiable(
    grad: Tensor,
    states: Tensor,
    mask: Tensor | None,
    by: Attentions,
    packing: Packing,
    needed: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients in operations that can be differentiated again."""
    # views of their own: the way from one of them to another is not ours to go
    inputs = [None if x is None else x.view_as(x) for x in (states, mask, *by)]
    plain = heard(cast(Tensor, inputs[0]), inputs[1], Attentions(*cast(Any, inputs[2:])), packing)
    wanted = [cast(Tensor, x) for x, need in zip(inputs, needed, strict=False) if need]
    found = iter(torch.autograd.grad(plain, wanted, grad, create_graph=True))
    return *(next(found) if need else None for need in needed[:6]), None
