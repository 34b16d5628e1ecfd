"""What a network hears, by our own C against torch's operations in float64."""

import pytest
import torch
from torch import Tensor

from activations.kernels.cpu.threads import on_threads
from activations.kernels.packing import Packing
from bench.network.interaction import Attentions, heard

M = 2
LONG = torch.randint(0, 40, (3 * M, 70), generator=torch.Generator().manual_seed(5)).tolist()
RAGGED = [[5, 0, 3, 7], [1, 4, 4, 2], [0, 0, 0, 0], [3, 3, 3, 3], [0, 9, 1, 0], [2, 1, 0, 1]]


def inputs(
    lengths: list[list[int]], W: int, A: int, *, contexts: bool, mask: bool, scale: float = 1.0
) -> tuple[Packing, Tensor, Tensor | None, Attentions]:
    packing = Packing.from_lengths(torch.tensor(lengths if contexts else lengths[:M]))
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).requires_grad_()

    G = packing.groups
    states = normal(packing.N, W)
    drawn = torch.rand(packing.bounds[M], W, generator=generator) > 0.3
    by = Attentions(
        normal(G, A, W), normal(G, A), (scale * normal(G, A)).detach().requires_grad_(),
        normal(G - M, A, W) if contexts else None,
    )  # fmt: skip
    return packing, states, drawn.float() * 1.4 if mask else None, by


def outcome(
    packing: Packing,
    states: Tensor,
    mask: Tensor | None,
    by: Attentions,
    on: str,
    dtype: torch.dtype,
) -> list[Tensor]:
    """The means, and the gradients of one sum of them by all that there is."""
    leaves = [x.detach().to(dtype).requires_grad_() for x in (states, *by) if x is not None]
    given = Attentions(*leaves[1:], *(None for _ in range(5 - len(leaves))))
    mask = None if mask is None else mask.to(dtype)
    means = heard(leaves[0], mask, given, packing, implementation=on)
    weights = torch.linspace(-1, 2, means.numel(), dtype=dtype).view_as(means)
    return [means, *torch.autograd.grad((means * weights).sum(), leaves)]


@pytest.mark.parametrize("contexts", [True, False])
@pytest.mark.parametrize(
    ("lengths", "W", "A", "mask", "scale"),
    [
        (RAGGED, 8, 3, True, 1.0),
        (RAGGED, 5, 1, False, 1.0),
        (LONG, 32, 16, True, 1.0),
        (LONG, 70, 37, False, 1.0),
        (LONG, 16, 16, True, 200.0),
    ],
    ids=["few frames", "one unit", "several parts", "many units", "scores beyond the exponential"],
)
def test_c_hears_what_torch_does_in_values_and_gradients(
    lengths: list[list[int]], W: int, A: int, mask: bool, scale: float, contexts: bool
) -> None:
    packing, *given = inputs(lengths, W, A, contexts=contexts, mask=mask, scale=scale)
    found = outcome(packing, *given, "cpu", torch.float32)
    torchs = outcome(packing, *given, "reference", torch.float32)
    truth = outcome(packing, *given, "reference", torch.float64)
    for own, other, true in zip(found, torchs, truth, strict=True):
        # no further off than three times torch's own float32, or a few of its roundings
        limit = max(3 * (other - true).norm(), 1e-6 * true.norm())
        assert (own - true).norm() <= limit


def test_a_member_hears_the_same_bits_alone_in_a_stack_and_on_more_threads() -> None:
    packing, states, mask, by = inputs(LONG, 32, 16, contexts=True, mask=True)
    together = outcome(packing, states, mask, by, "cpu", torch.float32)
    with on_threads(3):
        threaded = outcome(packing, states, mask, by, "cpu", torch.float32)
    assert all(map(torch.equal, together, threaded))
    for member in range(M):
        names = slice(member, None, M)
        alone = Packing.from_lengths(torch.tensor(LONG)[names])
        frames = torch.cat(
            [
                torch.arange(a, b)
                for a, b in zip(packing.bounds[:-1], packing.bounds[1:], strict=True)
            ][names]
        )
        current = torch.arange(packing.bounds[member], packing.bounds[member + 1])
        assert mask is not None
        own = Attentions(*(x[names] for x in by if x is not None))
        single = outcome(alone, states[frames], mask[current], own, "cpu", torch.float32)
        B = packing.rows
        assert torch.equal(single[0], together[0][member * B : (member + 1) * B])


def test_what_c_hears_can_be_differentiated_twice() -> None:
    packing, states, mask, by = inputs(RAGGED, 4, 2, contexts=True, mask=True)
    found = []
    for on, dtype in (("cpu", torch.float32), ("reference", torch.float64)):
        leaves = [x.detach().to(dtype).requires_grad_() for x in (states, *by) if x is not None]
        assert mask is not None
        means = heard(
            leaves[0], mask.to(dtype), Attentions(*leaves[1:]), packing, implementation=on
        )
        first = torch.autograd.grad(means.square().sum(), leaves, create_graph=True)
        found.append(torch.autograd.grad(sum(x.square().sum() for x in first), leaves))
    for own, true in zip(*found, strict=True):
        assert (own - true).norm() <= 2e-5 * true.norm()
