"""Compare the GPU's attention with torch's in Triton's interpreter; run by test_attention.py.

Triton decides when it is imported whether it interprets, so this is a process of its own. Prints
one JSON document: case → {tensor: relative error against float64, or number of differing bits}.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch import Tensor

from activations.kernels.packing import Packing
from bench.network.attention import attention
from tests import triton_interpreter  # noqa: F401

NAMES = ("pooled", "states", "keys", "offer", "score")


def draw(case: dict) -> tuple[list[Tensor | None], Tensor]:
    """States, keys, offer and score before they are packed, and an upstream [R, W]."""
    generator = torch.Generator().manual_seed(0)
    G, B = len(case["lengths"]), len(case["lengths"][0])
    T, W, A = max(map(max, case["lengths"])), case["W"], case["A"]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    offer = normal(G * B, A) if case.get("offer") else None
    given = [normal(G, T, B, W), normal(G, T, B, A), offer, case.get("scale", 1.0) * normal(G, A)]
    return given, normal(G * B, W)


def run(
    packing: Packing, frames: list[Tensor], rest: list[Tensor | None], upstream: Tensor, how: str
) -> list[Tensor | None]:
    inputs = [None if x is None else x.clone().requires_grad_() for x in (*frames, *rest)]
    pooled = attention(*inputs, packing, implementation=how)
    wanted = [x for x in inputs if x is not None]
    gradients = iter(torch.autograd.grad(pooled, wanted, upstream))
    return [pooled.detach(), *(None if x is None else next(gradients) for x in inputs)]


def compare(case: dict) -> dict[str, float]:
    """Errors against float64; or what differs bit by bit with room, or of the last group alone."""
    (states, keys, offer, score), upstream = draw(case)
    lengths = torch.tensor(case["lengths"])
    packing = Packing.from_lengths(lengths)
    frames = [packing.pack(states), packing.pack(keys)]
    ours = run(packing, frames, [offer, score], upstream, "gpu")
    against = case.get("against", "reference")
    if against == "reference":
        exact = [None if x is None else x.double() for x in (*frames, offer, score, upstream)]
        theirs = run(packing, exact[:2], exact[2:4], exact[4], "reference")
    elif against == "room":
        roomy = Packing.with_room(lengths, case["room"], packing.T + 3)
        place = [
            torch.arange(b - a) + g * case["room"]
            for g, (a, b) in enumerate(zip(packing.bounds, packing.bounds[1:], strict=False))
        ]
        where = torch.cat(place)
        wide = [torch.full((roomy.N, x.shape[1]), torch.nan) for x in frames]
        for x, own in zip(wide, frames, strict=True):
            x[where] = own
        theirs = run(roomy, wide, [offer, score], upstream, "gpu")
        theirs[1:3] = [x[where] for x in theirs[1:3]]
    else:
        B, last = lengths.shape[1], packing.bounds[-2]
        alone = Packing.from_lengths(lengths[-1:])
        own = None if offer is None else offer[-B:]
        theirs = run(alone, [x[last:] for x in frames], [own, score[-1:]], upstream[-B:], "gpu")
        ours = [
            None if x is None else x[x.shape[0] - t.shape[0] :]
            for x, t in zip(ours, theirs, strict=True)
        ]
    found = {}
    for name, a, b in zip(NAMES, ours, theirs, strict=True):
        if b is None:
            continue
        if against != "reference":
            found[name] = float((a != b).sum())
        elif b.numel():
            assert a.isfinite().all()
            found[name] = float((a.double() - b).norm() / (b.norm() + 1e-30))
    return found


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    print(json.dumps({name: compare(case) for name, case in cases.items()}))
