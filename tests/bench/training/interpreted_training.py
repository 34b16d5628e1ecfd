"""Train a tiny stack with the GPU kernels in Triton's interpreter; run by test_gpu_training.py.

Triton decides when it is imported whether it interprets, so this is a process of its own. Prints
one JSON document: [{losses, norms, parameters} of each wanted run]; the values of one member each.
"""

import dataclasses
import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch

from bench.data.members import Member, Variant
from bench.training.stack import Stack
from tests import triton_interpreter  # noqa: F401
from tests.bench import tiny

# memory that nobody has written is NaN: what spare frames hold must not matter
torch.use_deterministic_algorithms(True, warn_only=True)

HYPER = dataclasses.replace(
    tiny.SMALL, hidden_size=4, attention_size=2, dense_size=3, batch_size=2, dropout=0.3
)
MEMBERS = [
    Member(Variant("arelu"), "S0", 3, HYPER),
    Member(
        Variant("arelu"),
        "S1",
        4,
        dataclasses.replace(HYPER, clip_norm=0.5, l2=0.1, learning_rate=3e-3),
    ),
]


def run(
    implementation: str, chosen: list[int], settings: dict | None = None, steps: int = 2
) -> list[dict[str, list[float]]]:
    members = [
        dataclasses.replace(
            MEMBERS[m], hyper=dataclasses.replace(MEMBERS[m].hyper, **(settings or {}))
        )
        for m in chosen
    ]
    stack = Stack(members, tiny.data(longest=3), implementation)
    found: list[dict[str, list[float]]] = [
        {"losses": [], "norms": [], "parameters": []} for _ in members
    ]
    for _ in range(steps):
        stack.step()
        losses, norms = stack.take_means()
        for own, loss, norm in zip(found, losses, norms, strict=True):
            own["losses"].append(loss)
            own["norms"].append(norm)
    for parameter in stack.network.parameters():
        values = stack.network.by_member(parameter.detach())
        for m, own in enumerate(found):
            own["parameters"] += values[:, m].flatten().tolist()
    return found


if __name__ == "__main__":
    print(json.dumps([run(**wanted) for wanted in json.load(sys.stdin)]))
