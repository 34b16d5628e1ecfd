"""Second derivatives of what has only first ones: refused where torch would leave them out."""

from typing import Any

import pytest
import torch
from torch import Tensor

from activations.errors import GateswapError

pytest.importorskip("triton")
from bench.network.gpu.derivatives import first_only


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @first_only
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


def test_a_first_derivative_passes_and_a_second_one_is_refused_behind_a_linear_layer_too() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    value = Square.apply(x).sum()  # type: ignore[no-untyped-call]
    assert torch.autograd.grad(value, x, retain_graph=True)[0] == 6
    with pytest.raises(GateswapError, match=r"no second derivative .* implementation='reference'"):
        torch.autograd.grad(value, x, create_graph=True)
