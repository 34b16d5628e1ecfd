"""Compare the GPU's dropout masks with the CPU's in Triton's interpreter; run by test_dropout.py.

Prints one JSON document: case → {mask: number of differing elements, "kept": share not zero}.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch

from activations.kernels.packing import Packing
from bench.network.dropout import DropoutSource
from tests import triton_interpreter  # noqa: F401

KEYS = torch.tensor([-3, (1 << 62) + 7, 0])
DROP = torch.tensor([0.5, 0.0, 0.1])


def compare(case: dict) -> dict[str, float]:
    lengths = torch.tensor(case["lengths"]).repeat(case.get("encoders", 3), 1)
    packing = Packing.from_lengths(lengths)
    ours, theirs = (
        DropoutSource(
            KEYS,
            DROP,
            features=case["features"],
            width=case["width"],
            dense=case["dense"],
            implementation=implementation,
        )
        for implementation in ("gpu", "reference")
    )
    step: int | torch.Tensor = case["step"]
    expected = theirs.draw(step, packing)
    if case.get("on_device"):
        step = torch.tensor([step])
    roomy = packing
    if case.get("room"):
        roomy = Packing.with_room(lengths, case["room"], packing.T + 2)
    drawn = ours.draw(step, roomy)
    assert drawn is not None
    assert expected is not None
    found = {"kept": float((expected.outputs != 0).float().mean())}
    for name in ("inputs", "outputs"):
        mask, truth = getattr(drawn, name), getattr(expected, name)
        assert mask.isfinite().all()
        if roomy is not packing:
            sizes = [packing.bounds[m + 1] - packing.bounds[m] for m in range(3)]
            mask = torch.cat([mask[m * case["room"] :][:n] for m, n in enumerate(sizes)])
        found[name] = float((mask != truth).sum()) + float(mask.shape != truth.shape)
    found["dense"] = float((drawn.dense != expected.dense).sum())
    return found


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    print(json.dumps({name: compare(case) for name, case in cases.items()}))
