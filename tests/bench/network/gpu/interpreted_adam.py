"""Compare the GPU's Adam with torch's in Triton's interpreter; run by test_optimiser.py.

Prints one JSON document: {"values" and "norms": largest relative error of the members that live,
"alive": members alive by step and kernel, "alone": numbers that differ from a member's own stack,
"frozen": numbers of the dead member that moved, "moved": share of numbers that did}.
"""

import json
import os

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch import Tensor, nn

from bench.network.adam import StackedAdam
from bench.network.gpu import adam as optimiser_gpu
from tests import triton_interpreter  # noqa: F401

optimiser_gpu.BLOCK = 16  # several blocks of the larger tensors, some of them not full
SHAPES = ((3, 5, 4), (2, 3), (1, 70), (1, 3, 2))  # [E, …] of one member
RATES, L2, CLIP = (1e-2, 3e-3, 1e-1), (0.0, 1e-2, 0.3), (float("inf"), 1.0, 20.0)
STEPS, HURT_AT, HURT = 10, 5, 1


def drawn(seed: int, only: int | None) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    all_members = [torch.randn(s[0], 3, *s[1:], generator=generator) for s in SHAPES]
    if only is not None:
        all_members = [x[:, only : only + 1] for x in all_members]
    return [x.flatten(0, 1).clone() for x in all_members]


def walk(
    implementation: str, only: int | None = None
) -> tuple[list[Tensor], list[Tensor], list[list[bool]]]:
    """Parameters [M, …] after each step, norms [M] and who is alive."""
    chosen = slice(None) if only is None else slice(only, only + 1)
    stack = [nn.Parameter(x) for x in drawn(0, only)]
    members = 3 if only is None else 1
    adam = StackedAdam(
        stack,
        members,
        learning_rate=torch.tensor(RATES[chosen]),
        l2=torch.tensor(L2[chosen]),
        clip_norm=torch.tensor(CLIP[chosen]),
        decayed=stack[1:3],
        implementation=implementation,
    )
    values, norms, alive = [], [], []
    for step in range(STEPS):
        gradients = drawn(100 + step, only)
        if step == HURT_AT and only is None:
            gradients[2].view(1, 3, 70)[0, HURT, 69] = torch.inf
        losses = torch.zeros(members)
        norms.append(adam.step(losses, gradients))
        by_member = [p.detach().view(p.shape[0] // members, members, -1) for p in stack]
        values.append(torch.cat([x.transpose(0, 1).flatten(1) for x in by_member], 1).clone())
        alive.append(adam.alive.tolist())
    return values, norms, alive


def main() -> None:
    ours, norms, alive = walk("gpu")
    truth, true_norms, true_alive = walk("reference")
    live = [m for m in range(3) if m != HURT]
    alone = 0.0
    for m in live:
        own, own_norms, _ = walk("gpu", m)
        alone += sum(float((a[m] != b[0]).sum()) for a, b in zip(ours, own, strict=True))
        alone += sum(float(a[m] != b[0]) for a, b in zip(norms, own_norms, strict=True))
    print(
        json.dumps(
            {
                "values": max(
                    float(((a - b).norm(dim=1) / b.norm(dim=1)).max())
                    for a, b in zip(ours, truth, strict=True)
                ),
                "norms": max(
                    float((a / b - 1)[live].abs().max())
                    for a, b in zip(norms, true_norms, strict=True)
                ),
                "alive": [alive, true_alive],
                "alone": alone,
                "frozen": float((ours[HURT_AT - 1][HURT] != ours[-1][HURT]).sum()),
                "moved": float((ours[0] != ours[-1]).float().mean()),
            }
        )
    )


if __name__ == "__main__":
    main()
