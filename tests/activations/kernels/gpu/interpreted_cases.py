"""Compare the GPU kernels with the reference in Triton's interpreter; run by test_gpu_kernel.py.

Triton decides when it is imported whether it interprets, so this is a process of its own. Prints
one JSON document: case → {tensor: relative error against the float64 reference}.
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch

from activations.kernels.cell import Cell
from activations.kernels.dispatch import recurrence
from activations.kernels.gpu import tiles
from activations.kernels.packing import Packing
from activations.kernels.projection import project
from activations.registry import get
from tests import triton_interpreter  # noqa: F401

NAMES = {
    "recurrence": ("h", "gates_x", "w_hh", "b_hh", "h0", "update", "reset", "candidate"),
    "projection": ("out", "frames", "weight", "bias"),
}


def packings(case: dict) -> tuple[Packing, Packing, torch.Tensor]:
    """The packing of a case, the same with room, and where the real frames lie in that."""
    lengths = torch.tensor(case["lengths"])
    plain = Packing.from_lengths(lengths)
    if not case.get("spare"):
        return plain, plain, torch.arange(plain.N)
    room = Packing.with_room(lengths, plain.room + case["spare"], plain.T + 2)
    real = [
        room.bounds[g] + torch.arange(plain.bounds[g + 1] - plain.bounds[g])
        for g in range(plain.groups)
    ]
    return plain, room, torch.cat(real)


def spread(frames: torch.Tensor, room: Packing, real: torch.Tensor) -> torch.Tensor:
    """Frames put where they lie in a packing with room; whatever reads a spare one gets NaN."""
    wide = frames.new_full((room.N, *frames.shape[1:]), torch.nan)
    wide[real] = frames
    return wide


def recurrence_of(case: dict, implementation: str) -> list[torch.Tensor | None]:
    generator = torch.Generator().manual_seed(case.get("seed", 0))
    plain, room, real = packings(case)
    G, B, N = plain.groups, plain.rows, plain.N
    D, H = case["D"], case["H"]
    cell = Cell(*(get(name) for name in case["cell"]), case["reset"])

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    inputs = [draw(N, D, 3 * H), 0.3 * draw(G, D, 3 * H, H) / H**0.5, 0.1 * draw(G, D, 3 * H)]
    inputs.append(draw(G, D, B, H) if case["h0"] else None)
    for formula in cell.formulas:
        K = H if case["per_unit"] else 1
        start = torch.tensor(formula.initial, dtype=torch.float32).view(1, 1, -1, 1)
        inputs.append(start + 0.05 * draw(G, D, len(formula.parameters), K))
    upstream = draw(N, D, H)
    if case.get("nan"):
        inputs[0][case["nan"]] = torch.nan
    if implementation == "reference":
        packing, dtype = plain, torch.float64
        real = torch.arange(N)
    else:
        packing, dtype = room, torch.float32
        inputs[0], upstream = spread(inputs[0], room, real), spread(upstream, room, real)
    inputs = [None if x is None else x.to(dtype).requires_grad_() for x in inputs]
    gates_x, w_hh, b_hh, h0, *parameters = inputs
    h = recurrence(
        gates_x, w_hh, b_hh, packing, cell, tuple(parameters), h0, implementation=implementation
    )
    h.backward(upstream.to(dtype))
    first, *gradients = (None if x is None else x.grad for x in inputs)
    return [h.detach()[real], None if first is None else first[real], *gradients]


def projection_of(case: dict, implementation: str) -> list[torch.Tensor | None]:
    generator = torch.Generator().manual_seed(case.get("seed", 0))
    plain, room, real = packings(case)
    I, O, G = case["I"], case["O"], plain.groups  # noqa: E741
    frames, weight = (
        torch.randn(*shape, generator=generator) for shape in ((plain.N, I), (G, O, I))
    )
    bias = torch.randn(G, O, generator=generator) if case["bias"] else None
    upstream = torch.randn(plain.N, O, generator=generator)
    if implementation == "reference":
        packing, dtype = plain, torch.float64
        real = torch.arange(plain.N)
    else:
        packing, dtype = room, torch.float32
        frames, upstream = spread(frames, room, real), spread(upstream, room, real)
    given = [None if x is None else x.to(dtype).requires_grad_() for x in (frames, weight, bias)]
    out = project(*given, packing, implementation=implementation)
    out.backward(upstream.to(dtype))
    frames, weight, bias = (None if x is None else x.grad for x in given)
    return [out.detach()[real], frames[real], weight, bias]


def compare(case: dict) -> dict[str, float]:
    tiles.MOST_CHUNKS = 3  # a program takes the interpreter some ten milliseconds
    tiles.SHARED_LIMITS[90] = case.get("shared", 227 * 1024)
    torch.set_float32_matmul_precision(case.get("precision", "highest"))
    kind = "projection" if "O" in case else "recurrence"
    run = projection_of if kind == "projection" else recurrence_of
    errors = {}
    for name, ours, truth in zip(
        NAMES[kind], run(case, "gpu"), run(case, "reference"), strict=True
    ):
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
