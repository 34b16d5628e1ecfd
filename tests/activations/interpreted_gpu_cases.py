"""Compare the GPU kernels with the reference in Triton's interpreter; run by test_gpu_kernel.py.

Triton decides when it is imported whether it interprets, so this is a process of its own. Prints
one JSON document: case → {tensor: relative error against the float64 reference}.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

from activations.kernels import Cell, Packing, gpu, recurrence
from activations.registry import get

interpreted_dot = InterpreterBuilder.create_dot


def dot_of_bfloat16(self, a, b, d, *rest):
    """The interpreter multiplies bfloat16's bit patterns (triton 3.7): give it their values."""
    wide = [
        TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), tl.float32)
        if x.dtype.scalar == tl.bfloat16
        else x
        for x in (a, b)
    ]
    return interpreted_dot(self, *wide, d, *rest)


InterpreterBuilder.create_dot = dot_of_bfloat16

NAMES = ("h", "gates_x", "w_hh", "b_hh", "h0", "update", "reset", "candidate")


def run(case: dict, implementation: str) -> list[torch.Tensor | None]:
    generator = torch.Generator().manual_seed(case.get("seed", 0))
    lengths = torch.tensor(case["lengths"])
    packing = Packing.from_lengths(lengths)
    (G, B), N = lengths.shape, packing.N
    D, H = case["D"], case["H"]
    cell = Cell(*(get(name) for name in case["cell"]))

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    inputs = [draw(N, D, 3 * H), 0.3 * draw(G, D, 3 * H, H) / H**0.5, 0.1 * draw(G, D, 3 * H)]
    inputs.append(draw(G, D, B, H) if case["h0"] else None)
    for formula in cell.formulas:
        K = H if case["per_unit"] else 1
        start = torch.tensor(formula.initial, dtype=torch.float32).view(1, 1, -1, 1)
        inputs.append(start + 0.05 * draw(G, D, len(formula.parameters), K))
    upstream = draw(N, D, H)
    exact = implementation == "reference"
    dtype = torch.float64 if exact else torch.float32
    inputs = [None if x is None else x.to(dtype).requires_grad_() for x in inputs]
    gates_x, w_hh, b_hh, h0, *parameters = inputs
    if case.get("nan"):
        with torch.no_grad():
            gates_x[case["nan"]] = torch.nan
    h = recurrence(
        gates_x, w_hh, b_hh, packing, cell, tuple(parameters), h0, implementation=implementation
    )
    (h * upstream.to(dtype)).sum().backward()
    return [h.detach()] + [None if x is None else x.grad for x in inputs]


def compare(case: dict) -> dict[str, float]:
    gpu.SHARED = case.get("shared", 227 * 1024)
    torch.set_float32_matmul_precision(case.get("precision", "highest"))
    errors = {}
    for name, ours, truth in zip(NAMES, run(case, "gpu"), run(case, "reference"), strict=True):
        if truth is None or truth.numel() == 0:
            continue
        if case.get("nan"):
            errors[name] = float((ours.isnan() != truth.isnan()).sum())
        else:
            scale = truth.norm() + 1e-30
            errors[name] = float((ours.double() - truth).norm() / scale)
    return errors


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    print(json.dumps({name: compare(case) for name, case in cases.items()}))
