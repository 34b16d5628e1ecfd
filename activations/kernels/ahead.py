"""Compiling the GPU kernels for a GPU that is not here: that they compile, and what they use.

- `python -m activations.kernels.ahead` prints, for every activation of the catalogue, registers,
  spilled bytes and shared memory of the four time-walking kernels as ptxas reports them.
- Triton's wheel carries ptxas, so this runs on a laptop; it must run where Triton does not
  interpret.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.kernels import Cell
from activations.kernels.emit import SITES
from activations.kernels.emit_triton import triton_sites
from activations.registry import get, names

LETTERS = {"update": "Z", "reset": "R", "candidate": "N"}
SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024}  # bytes that one block may use


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel uses: registers and spilled bytes a thread, shared bytes a block."""

    kernel: str
    registers: int
    spilled: int
    shared: int


def compile_ahead(cell: Cell, *, hidden: int = 128, architecture: int = 90) -> Iterator[Resources]:
    """Compile the kernels of one cell for sm_80 or sm_90.

    hidden: H, which decides between the kernels that keep the weights on chip and those that stream
    them, as on a device with sm_90's shared memory; precision is torch's setting. Raises whatever
    Triton raises for a kernel that does not compile.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from activations.kernels import gpu, gpu_kernels

    sites = triton_sites(cell)
    for backward in (False, True):
        constants: dict[str, Any] = dict(gpu.tiles(hidden, 64, backward=backward))
        warps = constants.pop("num_warps")
        walk = "step" if "BLOCK_K" in constants else "sequence"
        name = f"{walk}_{'backward' if backward else 'forward'}"
        kernel = getattr(gpu_kernels, name)
        constants |= {"HAS_H0": False, "PRECISION": gpu.precision()}
        constants |= {} if backward else {"SAVE": True}
        for site, formula in zip(SITES, cell.formulas, strict=True):
            constants[site.upper()] = sites[site].value
            constants |= {f"{site.upper()}_SLOPE": sites[site].slope} if backward else {}
            constants[f"P_{LETTERS[site]}"] = len(formula.parameters)
            constants[f"K_{LETTERS[site]}"] = 1
        signature = {
            argument: "constexpr" if argument in constants else _type(argument)
            for argument in kernel.arg_names
        }
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        compiled = triton.compile(
            source,
            target=GPUTarget("cuda", architecture, 32),
            options={"num_warps": warps},
        )
        registers, spilled = _usage(compiled.asm["cubin"])
        yield Resources(name, registers, spilled, compiled.metadata.shared)


def _type(argument: str) -> str:
    if argument in ("B", "T", "H", "D", "s"):
        return "i32"
    return "*i64" if argument in ("starts", "sizes", "order", "longest") else "*fp32"


def _usage(cubin: bytes) -> tuple[int, int]:
    """Registers and spilled bytes a thread, from the compiled code's own record."""
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


def main(arguments: Sequence[str]) -> None:
    """Print the table for the catalogue, or for the activations named."""
    sigmoid = get("sigmoid")
    print("activation,arch,H,kernel,registers,spilled_bytes,shared_bytes,fits")
    for name in arguments or names():
        cell = Cell(sigmoid, sigmoid, get(name))
        for architecture in (80, 90):
            for hidden in (128, 512):
                for used in compile_ahead(cell, hidden=hidden, architecture=architecture):
                    fits = used.shared <= SHARED_LIMIT[architecture]
                    print(
                        f"{name},sm_{architecture},{hidden},{used.kernel},{used.registers},"
                        f"{used.spilled},{used.shared},{fits}",
                        flush=True,
                    )


if __name__ == "__main__":
    main(sys.argv[1:])
