"""Whether products of bfloat16 are faster here: a measurement, kept beside the compiled kernels.

- What is compared is what is chosen: one GRU forward and backward, its input projected, with both
  kinds of products, in turns, by processor time of one thread, to which other processes are little.
- It belongs to a processor, a compiler and the kernels' code. All processes of a machine go by the
  first one that was kept.
"""

import hashlib
import time
from collections.abc import Callable
from functools import cache

import torch

from activations.formula.parser import parse
from activations.kernels.cache import agreed
from activations.kernels.cell import Cell
from activations.kernels.cpu import bfloat16, projection, recurrence
from activations.kernels.cpu.compiler import find_compiler
from activations.kernels.cpu.limits import processor_name
from activations.kernels.cpu.threads import on_threads
from activations.kernels.packing import Packing, plain_tensors
from activations.kernels.precision import Precision

FASTER = 1.05  # times as fast that they must be: less would be the measurement's own spread
ROUNDS = 7
INPUTS, ROWS = 48, 32


def refusal(hidden: int) -> str | None:
    """Why products of bfloat16 are not taken for GRUs of that size here; None where they are.

    Measures at the first call for a size on a machine: a second, and the kernels are compiled.
    """
    if bfloat16.portable():
        return None
    if reason := bfloat16.lacking():
        return reason
    times = speedup(hidden)
    if times >= FASTER:
        return None
    return f"with them its GRUs of {hidden} units are {times:.2f} times as fast as with float32's"


@cache
def speedup(hidden: int) -> float:
    """How many times as fast a GRU of that size is with products of bfloat16, as it was kept."""
    cell, compiler = _cell(), find_compiler()
    sources = (
        make(precision)
        for precision in ("ieee", "bf16")
        for make in (projection.source, lambda kind: recurrence.library_source(cell, kind))
    )
    parts = (processor_name(), *compiler.command, compiler.fingerprint, *sources)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return float(agreed(f"bf16-{hidden}-{digest[:24]}.txt", lambda: repr(measure(hidden))))


def measure(hidden: int) -> float:
    """The ratio of the shortest of several passes with each kind of products."""
    shortest: dict[Precision, float] = {"ieee": float("inf"), "bf16": float("inf")}
    with plain_tensors(), on_threads(1):
        passes = {precision: _one_pass(hidden, precision) for precision in shortest}
        for run in passes.values():  # compiled, and in the caches
            run()
        for _ in range(ROUNDS):
            for precision, run in passes.items():
                started = time.thread_time()
                run()
                shortest[precision] = min(shortest[precision], time.thread_time() - started)
    return shortest["ieee"] / shortest["bf16"]


def _cell() -> Cell:
    gate = parse("sigmoid(x)")
    return Cell(gate, gate, parse("tanh(x)"))


def _one_pass(hidden: int, precision: Precision) -> Callable[[], None]:
    """A GRU's way forward and backward, some 5 to 50 ms of it."""
    H, cell = hidden, _cell()
    packing = Packing.full(1, max(2, min(32, (1 << 22) // H**2)), ROWS)
    N, bounds = packing.N, packing.bounds
    frames, d_h = torch.ones(N, INPUTS), torch.full((N, 1, H), 1 / N)
    w_ih = torch.full((1, 3 * H, INPUTS), 1 / INPUTS)
    w_hh, b_hh = torch.full((1, 1, 3 * H, H), 1 / H), torch.zeros(1, 1, 3 * H)
    none = torch.empty(1, 1, 0, 1)
    parameters = none, none, none

    def run() -> None:
        h, saved = recurrence.forward(
            frames, w_hh, b_hh, None, parameters, packing, cell, precision, save=True,
            by=(w_ih, None),
        )  # fmt: skip
        d_gates, *_ = recurrence.backward(
            d_h, w_hh, b_hh, None, parameters, h, saved, packing, cell, precision
        )
        d_gates = d_gates.flatten(1)
        projection.backward(
            d_gates, frames, w_ih, bounds, precision, by_frames=False, by_bias=False
        )

    return run
