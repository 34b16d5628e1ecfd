"""Products of bfloat16 on the CPU: where they are to be had.

- torch's setting permits them (`torch.set_float32_matmul_precision("medium")`); they are taken only
  where the processor has the instruction for them, AVX512_BF16's, and is faster with it.
- Nobody can know the second from the first: some processors multiply twice as many bfloat16 as
  float32 at a time, some no more, and a small GRU spends its time elsewhere. So a short measurement
  says it for each size, once on each machine (calibration.py).
- GATESWAP_BF16=portable takes them anywhere and at any size. Without the instruction it computes
  the same more slowly: to check what another machine has found, and for the tests.
"""

import os

from activations.kernels.cpu.compiler import CompilerError, find_compiler
from activations.kernels.precision import Precision, precision


def portable() -> bool:
    """Whether they are taken anywhere and at any size."""
    return os.environ.get("GATESWAP_BF16") == "portable"


def lacking() -> str | None:
    """What this machine lacks for products of bfloat16, whatever their size; None for nothing."""
    if portable():
        return None
    try:
        compiler = find_compiler()
    except CompilerError as error:
        return str(error)
    if compiler.bfloat16:
        return None
    return (
        "its processor has no AVX512_BF16 instructions "
        f"({compiler.version} compiles for {compiler.features})"
    )


def compiled_for() -> Precision:
    """What precision a kernel will be compiled for by torch's setting now, at most sizes."""
    return "bf16" if precision() == "bf16" and lacking() is None else "ieee"
