"""Compare the GPU's layer normalisation with torch's in Triton's interpreter; run by test_norm.py.

Prints one JSON document: case → {tensor: relative error against float64, "alone": numbers that
differ from what the last member gets alone}.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch import Tensor

from bench.network.norm import normalised
from tests import triton_interpreter  # noqa: F401

NAMES = ("out", "hidden", "gain", "shift")


def run(inputs: list[Tensor], upstream: Tensor, implementation: str) -> list[Tensor]:
    inputs = [x.clone().requires_grad_() for x in inputs]
    out = normalised(*inputs, implementation=implementation)
    return [out.detach(), *torch.autograd.grad(out, inputs, upstream)]


def compare(case: dict) -> dict[str, float]:
    M, B, D = case["M"], case["B"], case["D"]
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n, D, generator=generator) for n in (M * B, M, M)]
    inputs[0] += case.get("mean", 0.0)
    upstream = torch.randn(M * B, D, generator=generator)
    ours = run(inputs, upstream, "gpu")
    truth = run([x.double() for x in inputs], upstream.double(), "reference")
    found = {
        name: float((a.double() - b).norm() / b.norm().clamp(min=1e-30))
        for name, a, b in zip(NAMES, ours, truth, strict=True)
    }
    alone = run([inputs[0][-B:], inputs[1][-1:], inputs[2][-1:]], upstream[-B:], "gpu")
    found["alone"] = float(
        sum(float((a[-len(b) :] != b).sum()) for a, b in zip(ours, alone, strict=True))
    )
    return found


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    print(json.dumps({name: compare(case) for name, case in cases.items()}))
