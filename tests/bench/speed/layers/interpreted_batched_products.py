"""Compare the batched contestant with torch in Triton's interpreter; run by test_speed_batched.py.

Triton decides when it is imported whether it interprets, so this is a process of its own. Prints
one JSON document: case → {tensor: relative error against float64}.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch

from activations.kernels.cell import Cell
from activations.registry import get
from bench.speed.layers.batched import train
from bench.speed.layers.contestants import eager_gru
from tests import triton_interpreter  # noqa: F401

NAMES = ("h", "x", "w_ih", "w_hh", "b_ih", "b_hh")


def compare(name: str, R: int, T: int, B: int, input_size: int, H: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(R, *shape, generator=generator)

    inputs = [draw(T, B, input_size), draw(3 * H, input_size), 0.3 * draw(3 * H, H)]
    inputs += [draw(3 * H), draw(3 * H)]
    d_h = draw(T, B, H)
    sigmoid, formula = get("sigmoid"), get(name)
    ours = train(*inputs, d_h, Cell(sigmoid, sigmoid, formula))
    exact = [tensor.double().requires_grad_() for tensor in inputs]
    h = torch.stack(
        [eager_gru(*(each[r] for each in exact), [], formula.torch_function) for r in range(R)]
    )
    truth = (h.detach(), *torch.autograd.grad(h, exact, d_h.double()))
    return {
        label: float((mine.double() - true).norm() / (true.norm() + 1e-30))
        for label, mine, true in zip(NAMES, ours, truth, strict=True)
    }


if __name__ == "__main__":
    print(json.dumps([compare(*case) for case in json.load(sys.stdin)]))
