"""Run by test_sanitizers.py in a process of its own: awkward shapes through checked C.

Usage: python sanitized.py. Every array lies between AddressSanitizer's red zones, so one element
read or written beside it ends the process with a report.
"""

import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch

from activations.formula.parser import parse
from activations.kernels import dispatch
from activations.kernels.cell import Cell
from activations.kernels.cpu import compiler, memory, projection
from activations.kernels.packing import Packing
from activations.kernels.precision import at_precision
from bench.network.interaction import Attentions, heard

compiler.FLAGS = (
    *compiler.FLAGS, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1",
)  # fmt: skip
memory.SMALL = sys.maxsize  # from malloc, which puts red zones around

CELL = Cell(
    parse("sigmoid(a*x)+b; a=1.1, b=0.05"), parse("sigmoid(x)"), parse("tanh(x)+a*sin(x); a=0.1")
)
LENGTHS = ([[3, 0, 5, 1], [0, 0, 0, 0], [1, 4, 2, 6]], [[1]], [[2] * 17], [[0, 0]], [[7], [0]])


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(*shape).requires_grad_()


def main() -> None:
    """Both kinds of products; of bfloat16, whose rows are rounded into scratch, both orders."""
    torch.manual_seed(0)
    assert projection.available(torch.float32) is None
    os.environ["GATESWAP_BF16"] = "portable"
    combinations(CELL, LENGTHS, (1, 16, 33))
    with at_precision("bf16"):
        combinations(CELL, LENGTHS[:2], (1, 33))
        combinations(replace(CELL, reset_order="before"), LENGTHS[:1], (33,))
    for lengths, W, A in itertools.product(LENGTHS, (1, 16, 33), (1, 16, 19)):
        hear(lengths, W, A)
    print("no complaint")


def combinations(cell: Cell, every: Sequence[list[list[int]]], sizes: tuple[int, ...]) -> None:
    """Forward and backward of every combination, with and without an initial state."""
    for lengths, H, D in itertools.product(every, sizes, (1, 2)):
        packing = Packing.from_lengths(torch.tensor(lengths))
        G, B = packing.lengths.shape
        per_unit = H if H % 2 else 1
        parameters = (
            leaf(G, D, 2, per_unit), torch.empty(G, D, 0, 1), leaf(G, D, 1, per_unit),
        )  # fmt: skip
        for with_h0 in (False, True):
            h = dispatch.layer(
                leaf(packing.N, H + 2), leaf(G, D * 3 * H, H + 2), leaf(G, D * 3 * H),
                leaf(G, D, 3 * H, H), leaf(G, D, 3 * H), packing, cell, parameters,
                leaf(G, D, B, H) if with_h0 else None, implementation="cpu",
            )  # fmt: skip
            h.sum().backward()


def hear(lengths: list[list[int]], W: int, A: int) -> None:
    """Attention forward and backward, of one group or of one with two contexts, under a mask."""
    packing = Packing.from_lengths(torch.tensor(lengths))
    G = packing.groups
    by = Attentions(leaf(G, A, W), leaf(G, A), leaf(G, A), leaf(G - 1, A, W) if G > 1 else None)
    mask = torch.rand(packing.bounds[1], W)
    heard(leaf(packing.N, W), mask, by, packing, implementation="cpu").sum().backward()


main()
