"""Compiling the GPU kernels for a GPU that is not here: that they compile, and what they use.

- `python -m bench.speed.ahead` prints, for every activation of the catalogue, registers,
  stack and shared memory of each kernel as ptxas reports them; activation "any" stands for kernels
  that know none. `--help` tells how to ask for some activations, sizes or precisions only. A stack
  is what the registers could not hold, and 32 bytes for the reduction of sin's and cos's arguments.
- Arguments are specialised as a launch with torch's tensors would: addresses divisible by 16, and
  numbers too where they are.
- Triton's wheel carries ptxas, so this runs on a laptop; it must run where Triton does not
  interpret.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from activations.kernels.cell import SITES, Cell
from activations.kernels.gpu.tiles import (
    INDEX_TILES,
    SHARED_LIMITS,
    TOTAL_TILES,
    chunks,
    gradient_tiles,
    parameter_tiles,
    product_tiles,
    recurrent_chunks,
    recurrent_gradient_tiles,
    tiles,
    unit_tiles,
)
from activations.kernels.precision import PRECISIONS
from activations.registry import get, names

LETTERS = {"update": "Z", "reset": "R", "candidate": "N"}
NUMBERS = {"s": 0, "B": 64, "T": 200, "D": 1, "i": 0, "site": 2}  # of a plain GRU's launch
INDICES = (
    "starts",
    "sizes",
    "order",
    "longest",
    "time_of_frame",
    "previous",
)  # int64 on the device
FEATURES = 45  # a layer's inputs, for the kernels of the projection
ANY = "any"  # in place of an activation: the kernels that know none


@dataclass(frozen=True)
class Target:
    """What to compile for: H, precision (ieee, tf32, bf16), architecture (80, 90)."""

    hidden: int
    precision: str
    architecture: int


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel uses: registers and stack bytes a thread, shared bytes a block."""

    kernel: str
    registers: int
    stack: int
    shared: int


def compile_cell(cell: Cell, target: Target) -> Iterator[Resources]:
    """Compile what a cell's activations are compiled into.

    H decides between the kernels that keep the weights on chip and those that stream them. Raises
    whatever Triton raises for a kernel that does not compile.
    """
    from activations.kernels.gpu import before_kernels, gradient_kernels, recurrence_kernels
    from activations.kernels.gpu.triton_code import triton_sites

    sites = triton_sites(cell)
    limit = SHARED_LIMITS[target.architecture]
    for backward in (False, True):
        constants: dict[str, Any] = dict(tiles(target.hidden, target.precision, limit))
        walk = "step" if "BLOCK_K" in constants else "sequence"
        constants |= {"HAS_H0": False, "PRECISION": target.precision}
        for site, formula in zip(SITES, cell.formulas, strict=True):
            constants[site.upper()] = sites[site].value
            constants |= {f"{site.upper()}_SLOPE": sites[site].slope} if backward else {}
            constants[f"P_{LETTERS[site]}"] = len(formula.parameters)
            constants[f"K_{LETTERS[site]}"] = 1
        before = cell.reset_order == "before"
        module = before_kernels if before else recurrence_kernels
        if walk == "step" and before:
            halves = (
                ("candidate_gradients", "reset_gradients") if backward else ("resets", "candidates")
            )
            kernels = [f"step_{half}" for half in halves]
        else:
            kernels = [f"{walk}_{'backward' if backward else 'forward'}"]
            constants |= {} if backward else {"SAVE": True}
        for kernel in kernels:
            yield _compile(getattr(module, kernel), constants, {"H": target.hidden}, target)
    for slope in sites["candidate"].parameter_slopes:
        yield _compile(
            gradient_kernels.parameter_gradient,
            {"P": len(cell.candidate.parameters), "K": 1, "SLOPE": slope}
            | parameter_tiles(target.hidden),
            {"H": target.hidden, "chunks": chunks(1)},
            target,
        )


def compile_shared(target: Target) -> Iterator[Resources]:
    """Compile what every cell uses: sums over frames, and the input projection with FEATURES."""
    from activations.kernels.gpu import gradient_kernels, projection_kernels

    H = target.hidden
    for before in (False, True):
        yield _compile(
            gradient_kernels.weight_gradients,
            {"HAS_H0": False, "PRECISION": target.precision, "RESET_BEFORE": before}
            | recurrent_gradient_tiles(H),
            {"N": 12_800, "H": H, "chunks": recurrent_chunks(H)},
            target,
        )
    yield _compile(gradient_kernels.previous_frames, INDEX_TILES, {"N": 12_800}, target)
    yield _compile(
        gradient_kernels.sum_chunks,
        TOTAL_TILES,
        {"size": 3 * H * H, "chunks": 8},
        target,
    )
    yield _compile(
        gradient_kernels.sum_parameter,
        {"P": 2, "K": 1} | unit_tiles(H),
        {"H": H, "chunks": chunks(1)},
        target,
    )
    yield _compile(
        projection_kernels.grouped_product,
        {"HAS_BIAS": True, "PRECISION": target.precision}
        | product_tiles(FEATURES, 3 * H, target.precision),
        {"K": FEATURES, "J": 3 * H, "stride_g": 3 * H * FEATURES}
        | {"stride_j": FEATURES, "stride_k": 1},
        target,
    )
    yield _compile(
        projection_kernels.grouped_weight_gradients,
        {"PRECISION": target.precision} | gradient_tiles(3 * H, FEATURES),
        {"I": FEATURES, "O": 3 * H},
        target,
    )


def _compile(
    kernel: Any, constants: dict[str, Any], numbers: dict[str, int], target: Target
) -> Resources:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    options = {name: constants[name] for name in ("num_warps", "num_stages") if name in constants}
    constants = {name: value for name, value in constants.items() if name not in options}
    numbers = NUMBERS | numbers
    signature, attributes = {}, {}
    for place, parameter in enumerate(kernel.params):
        name, number = parameter.name, numbers.get(parameter.name)
        if name in constants or (number == 1 and not parameter.do_not_specialize):
            signature[name] = "constexpr"
            constants.setdefault(name, number)
            continue
        signature[name] = "i32" if number is not None else _pointer(name, target.precision)
        if number is None or (number % 16 == 0 and not parameter.do_not_specialize):
            attributes[place,] = [["tt.divisibility", 16]]
    compiled = triton.compile(
        ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes),
        target=GPUTarget("cuda", target.architecture, 32),
        options=options,
    )
    registers, stack = _usage(compiled.asm["cubin"])
    return Resources(kernel.fn.__name__, registers, stack, compiled.metadata.shared)


def _pointer(name: str, precision: str) -> str:
    if name in INDICES:
        return "*i64"
    return "*bf16" if name == "w_hh" and precision == "bf16" else "*fp32"


def _usage(cubin: bytes) -> tuple[int, int]:
    """Registers and stack bytes a thread, from the compiled code's own record."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run(
            [tool, "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    used = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)}
    return used["REG"], max(used["STACK"], used["LOCAL"])


def _rows(name: str, targets: Sequence[Target], reset: str) -> list[str]:
    """The table's rows of one activation, or of `ANY`."""
    sigmoid = get("sigmoid")
    rows = []
    for target in targets:
        if name == ANY:
            compiled = compile_shared(target)
        else:
            compiled = compile_cell(Cell(sigmoid, sigmoid, get(name), reset), target)
        for used in compiled:
            fits = used.shared <= SHARED_LIMITS[target.architecture]
            rows.append(
                f"{name},sm_{target.architecture},{target.hidden},{target.precision},"
                f"{used.kernel},{used.registers},{used.stack},{used.shared},{fits}"
            )
    return rows


def main(arguments: Sequence[str]) -> None:
    """Print the table for the catalogue, or for the activations named."""
    import triton

    parser = argparse.ArgumentParser(prog="python -m bench.speed.ahead")
    parser.add_argument("activation", nargs="*", help=f"all, and '{ANY}', if none is named")
    parser.add_argument("--hidden", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=["tf32"])
    parser.add_argument("--arch", nargs="+", type=int, choices=SHARED_LIMITS, default=[80, 90])
    parser.add_argument("--jobs", type=int, default=2, help="processes that compile")
    parser.add_argument("--reset", choices=("after", "before"), default="after")
    wanted = parser.parse_args(arguments)
    targets = [
        Target(*each) for each in product(wanted.hidden, wanted.precision, sorted(wanted.arch))
    ]
    print(f"# python -m bench.speed.ahead {' '.join(arguments)}; triton {triton.__version__}")
    print("activation,arch,H,precision,kernel,registers,stack_bytes,shared_bytes,fits")
    with ProcessPoolExecutor(wanted.jobs, mp_context=get_context("spawn")) as pool:
        work = pool.map(
            partial(_rows, targets=targets, reset=wanted.reset),
            wanted.activation or [ANY, *names()],
        )
        for rows in work:
            print(*rows, sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
