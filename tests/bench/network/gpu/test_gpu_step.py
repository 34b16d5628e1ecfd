"""The training step's kernels on a real GPU, at the network's sizes, against torch on the CPU.

What they compute is tested in Triton's interpreter everywhere; here it is what the compiler made.
"""

import pytest
import torch
from torch import Tensor, nn

from activations.kernels.packing import Packing
from bench.network.adam import StackedAdam
from bench.network.attention import attention
from bench.network.dropout import DropoutSource
from bench.network.loss import smoothed_cross_entropy
from bench.network.norm import normalised

DEVICE = "cuda"
pytestmark = pytest.mark.gpu
pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")

M, B, A, DENSE, CLASSES = 3, 64, 16, 64, 4
ROUNDING = 1e-5  # relative to the whole tensor: float32, sums of some hundred terms


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lengths(groups: int, longest: int = 500) -> Tensor:
    drawn = torch.randint(longest, (groups, B), generator=torch.Generator().manual_seed(1))
    drawn[:, 5] = 0
    drawn[0, 0] = longest
    return drawn


def with_gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """An output and the gradients of its weighted sum, on the CPU."""
    upstream = draw(*out.shape, seed=9).to(out)
    return [x.detach().cpu() for x in (out, *torch.autograd.grad(out, inputs, upstream))]


def leaves(inputs: list[Tensor], like: Tensor) -> list[Tensor]:
    return [x.to(like).requires_grad_() for x in inputs]


GPU, EXACT = torch.zeros(0), torch.zeros(0, dtype=torch.float64)


def assert_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert float((a.double() - b.double()).norm()) <= ROUNDING * float(b.double().norm())


@pytest.mark.parametrize("width", [64, 1024])
@pytest.mark.parametrize("offers", [False, True])
def test_attention_of_long_and_empty_rows_equals_the_reference(width: int, offers: bool) -> None:
    host = Packing.from_lengths(lengths(M))
    inputs = [draw(host.N, width), draw(host.N, A), draw(M, A), draw(M * B, A)][: 3 + offers]

    def run(like: Tensor, packing: Packing, implementation: str) -> list[Tensor]:
        states, keys, score, *offer = own = leaves(inputs, like)
        pooled = attention(
            states, keys, *(offer or [None]), score, packing, implementation=implementation
        )
        return with_gradients(pooled, own)

    ours = run(GPU.to(DEVICE), host.to(DEVICE), "gpu")
    assert_close(ours, run(EXACT, host, "reference"))
    again = run(GPU.to(DEVICE), host.to(DEVICE), "gpu")
    assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))


@pytest.mark.parametrize("members", [M, 1])
def test_normalisation_and_loss_equal_the_reference(members: int) -> None:
    inputs = [draw(members * B, DENSE), draw(members, DENSE), draw(members, DENSE)]
    labels = torch.randint(CLASSES, (members, B), generator=torch.Generator().manual_seed(2))
    shares = torch.linspace(0.0, 0.3, members)

    def run(like: Tensor, implementation: str) -> list[Tensor]:
        own = leaves(inputs, like)
        logits = leaves([draw(members, B, CLASSES)], like)
        out = normalised(*own, implementation=implementation)
        losses = smoothed_cross_entropy(
            *logits, labels.to(like.device), shares.to(like), implementation=implementation
        )
        return [*with_gradients(out, own), *with_gradients(losses, logits)]

    assert_close(run(GPU.to(DEVICE), "gpu"), run(EXACT, "reference"))


def test_dropout_masks_are_the_bits_of_the_cpus() -> None:
    packing = Packing.from_lengths(lengths(3 * M, longest=40))
    keys, drop = torch.tensor([-3, (1 << 62) + 7, 0]), torch.tensor([0.5, 0.0, 0.1])
    sizes = {"features": 45, "width": 512, "dense": DENSE}
    expected = DropoutSource(keys, drop, **sizes).draw(70_000, packing)
    source = DropoutSource(keys, drop, **sizes, device=DEVICE, implementation="gpu")
    step = torch.tensor([70_000], device=DEVICE)
    drawn = source.draw(step, packing.to(DEVICE))
    assert drawn is not None
    assert expected is not None
    for name in ("inputs", "outputs", "dense"):
        assert torch.equal(getattr(drawn, name).cpu(), getattr(expected, name)), name


def test_ten_steps_of_adam_equal_the_reference_and_a_member_alone_itself() -> None:
    shapes = ((3, 96, 45), (1, 64, 100), (1, 4))  # [E, …] of one member

    def walk(device: str, implementation: str, chosen: list[int]) -> list[Tensor]:
        def of(x: Tensor) -> Tensor:
            return x[:, chosen].flatten(0, 1).to(device)

        stack = [nn.Parameter(of(draw(s[0], M, *s[1:]))) for s in shapes]
        settings = {"learning_rate": [1e-2, 3e-3, 1e-1], "l2": [0, 1e-2, 0.3], "clip_norm": [9] * 3}
        adam = StackedAdam(
            stack,
            len(chosen),
            **{name: torch.tensor(x, dtype=torch.float32)[chosen] for name, x in settings.items()},
            decayed=stack[:1],
            implementation=implementation,
        )
        norms = []
        for step in range(10):
            gradients = [of(draw(s[0], M, *s[1:], seed=step + 1)) for s in shapes]
            norms.append(adam.step(torch.zeros(len(chosen), device=device), gradients))
        by_member = [p.detach().view(-1, len(chosen), p[0].numel()) for p in stack]
        return [x.cpu() for x in (*by_member, torch.stack(norms)[None])][::-1]

    ours = walk(DEVICE, "gpu", [0, 1, 2])
    assert_close(ours, walk("cpu", "reference", [0, 1, 2]))
    for m in range(M):
        for x, alone in zip(ours, walk(DEVICE, "gpu", [m]), strict=True):
            of_member = x[..., m] if x is ours[0] else x[:, m]
            assert torch.equal(of_member, alone.squeeze(-1) if x is ours[0] else alone[:, 0])
