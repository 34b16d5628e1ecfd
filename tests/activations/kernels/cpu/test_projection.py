"""The CPU input projection, against float64 products group by group."""

from itertools import pairwise

import pytest
import torch

from activations.kernels.cpu import projection

# 30 roundings of float32, relative to the array's largest element: sums of up to 400 terms
ROUNDING = 30 * 2.0**-24


def run(project, G, inputs, outputs, bounds, bias=True, dtype=torch.float32):
    """The projection and its gradients, from the same random numbers for any project."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(dtype).requires_grad_()

    given = [draw(bounds[-1], inputs), draw(G, outputs, inputs)]
    b = draw(G, outputs) if bias else None
    d_out = draw(bounds[-1], outputs).detach()
    out = project(*given, b, bounds)
    return [out.detach(), *torch.autograd.grad(out, [*given, *([b] if bias else [])], d_out)]


def plainly(frames, weight, bias, bounds):
    return torch.cat(
        [
            frames[start:end] @ weight[g].t() + (0 if bias is None else bias[g])
            for g, (start, end) in enumerate(pairwise(bounds))
        ]
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("inputs", "outputs", "bounds"),
    [
        (45, 192, [0, 400]),
        (45, 96, [0, 130, 130, 333]),
        (1, 3, [0, 5, 14]),
        (100, 135, [0, 1, 129]),
    ],
)
def test_projection_and_its_gradients_equal_plain_products(inputs, outputs, bounds, bias):
    sizes = (len(bounds) - 1, inputs, outputs, bounds, bias)
    ours = run(projection.project, *sizes)
    for got, wanted in zip(ours, run(plainly, *sizes, torch.float64), strict=True):
        assert (got - wanted).abs().max() <= ROUNDING * wanted.abs().max()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_projection_is_the_same_bits_for_any_number_of_threads(threads):
    before = torch.get_num_threads()
    sizes = (2, 45, 70, [0, 300, 700])
    try:
        torch.set_num_threads(3)
        wanted = run(projection.project, *sizes)
        torch.set_num_threads(threads)
        assert all(map(torch.equal, run(projection.project, *sizes), wanted))
    finally:
        torch.set_num_threads(before)


def test_a_groups_projection_is_the_same_bits_with_and_without_companions():
    torch.manual_seed(0)
    x, w, b = torch.randn(700, 45), torch.randn(3, 70, 45), torch.randn(3, 70)
    together = projection.project(x, w, b, [0, 100, 333, 700])
    alone = projection.project(x[100:333], w[1:2], b[1:2], [0, 233])
    assert torch.equal(together[100:333], alone)


def test_projection_passes_a_nan_on_in_its_own_frame():
    x = torch.randn(20, 9)
    x[7, 3] = torch.nan
    out = projection.project(x, torch.randn(1, 5, 9), None, [0, 20])
    assert out[7].isnan().all()
    assert out.isnan().sum() == 5


def test_projection_of_float64_says_why_it_cannot_run():
    assert projection.available(torch.float32) is None
    assert "float64" in projection.available(torch.float64)
