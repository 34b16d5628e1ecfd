"""A first layer, whose frames need no gradient: projection and recurrence in one walk each way."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from activations.kernels import dispatch
from activations.kernels.cpu.threads import on_threads
from activations.kernels.packing import Packing
from tests.activations.kernels.cpu.test_recurrence import LEARNED, ROUNDING

# more frames than wait together to be summed, rows that start and end apart, an empty group
LENGTHS = torch.stack(
    [torch.randint(0, 40, (19,), generator=torch.Generator().manual_seed(3)), *torch.zeros(2, 19)]
).long()
LENGTHS[2, 7] = 9


def first_layer(
    lengths: Tensor, of: slice, dtype: torch.dtype, *, bias: bool = True, start: bool = False
) -> dict[str, Tensor]:
    """States of groups `of`, and gradients by all that is learned (and h0)."""
    generator = torch.Generator().manual_seed(0)
    G, D, H, inputs = len(lengths), 2, 20, 13

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    packing = Packing.from_lengths(lengths)
    frames, d_h = draw(packing.N, inputs), draw(packing.N, D, H)
    weights = {
        "w_ih": draw(G, D * 3 * H, inputs) / 4, "b_ih": draw(G, D * 3 * H),
        "w_hh": draw(G, D, 3 * H, H) / 4, "b_hh": draw(G, D, 3 * H),
        "h0": draw(G, D, lengths.shape[1], H),
    } | {
        f"parameters {n}": torch.tensor(formula.initial).view(1, 1, -1, 1) * torch.ones(G, D, 1, H)
        for n, formula in enumerate(LEARNED.formulas)
    }  # fmt: skip
    weights = {n: each[of].to(dtype).requires_grad_() for n, each in weights.items()}
    own = torch.cat([torch.arange(a, b) for a, b in pairwise(packing.bounds)][of])
    w_ih, b_ih, w_hh, b_hh, h0, *parameters = weights.values()
    h = dispatch.layer(
        frames[own].to(dtype), w_ih, b_ih if bias else None, w_hh, b_hh,
        Packing.from_lengths(lengths[of]), LEARNED, tuple(parameters), h0 if start else None,
        implementation="cpu" if dtype == torch.float32 else "reference",
    )  # fmt: skip
    found = torch.autograd.grad(h, list(weights.values()), d_h[own].to(dtype), allow_unused=True)
    by = {n: each for n, each in zip(weights, found, strict=True) if each is not None}
    return {"h": h} | by


EVERY = slice(None)


@pytest.mark.parametrize("start", [False, True], ids=["from zeros", "from a state"])
@pytest.mark.parametrize("bias", [True, False])
def test_its_gradients_are_the_references(bias: bool, start: bool) -> None:
    found = first_layer(LENGTHS, EVERY, torch.float32, bias=bias, start=start)
    true = first_layer(LENGTHS, EVERY, torch.float64, bias=bias, start=start)
    assert found.keys() == true.keys() >= {"h", "w_ih", "w_hh", "b_hh"}
    for name, expected in true.items():
        assert (found[name] - expected).abs().max() <= ROUNDING * expected.abs().max(), name


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("g", [0, 2])
def test_a_group_has_the_same_bits_alone_on_many_threads_as_in_a_stack_on_one(
    g: int, threads: int
) -> None:
    with on_threads(1):  # which hands its gradients over as it makes them
        together = first_layer(LENGTHS, EVERY, torch.float32)
    own = slice(g, g + 1)
    with on_threads(threads):  # which write them, for another pass to sum
        alone = first_layer(LENGTHS, own, torch.float32)
    ends = LENGTHS.sum(1).cumsum(0).tolist()
    frames = slice(ends[g] - int(LENGTHS[g].sum()), ends[g])
    for name, each in alone.items():
        assert torch.equal(each, together[name][frames if name == "h" else own]), name
