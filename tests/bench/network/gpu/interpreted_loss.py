"""Compare the GPU's loss with torch's in Triton's interpreter; run by test_loss.py.

Prints one JSON document: case → {tensor: relative error against float64, "alone": numbers that
differ from what the last member gets alone}.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch import Tensor

from bench.network.loss import smoothed_cross_entropy
from tests import triton_interpreter  # noqa: F401

SHARES = torch.tensor([0.0, 0.1, 0.5])


def run(logits: Tensor, labels: Tensor, shares: Tensor, implementation: str) -> tuple[Tensor, ...]:
    logits = logits.clone().requires_grad_()
    losses = smoothed_cross_entropy(logits, labels, shares, implementation=implementation)
    return losses.detach(), *torch.autograd.grad((losses * losses).sum(), logits)


def compare(case: dict) -> dict[str, float]:
    B, C = case["B"], case["C"]
    generator = torch.Generator().manual_seed(0)
    logits = case.get("scale", 1.0) * torch.randn(3, B, C, generator=generator)
    labels = torch.randint(C, (3, B), generator=generator)
    ours = run(logits, labels, SHARES, "gpu")
    truth = run(logits.double(), labels, SHARES.double(), "reference")
    found = {
        name: float((a.double() - b).norm() / b.norm().clamp(min=1e-30))
        for name, a, b in zip(("losses", "logits"), ours, truth, strict=True)
    }
    alone = run(logits[2:], labels[2:], SHARES[2:], "gpu")
    found["alone"] = float(sum(float((a[2:] != b).sum()) for a, b in zip(ours, alone, strict=True)))
    return found


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    print(json.dumps({name: compare(case) for name, case in cases.items()}))
