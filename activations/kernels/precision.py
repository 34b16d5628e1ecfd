"""How precisely matrices are multiplied: three words, and torch's own for each.

- The setting is torch's, for the whole process: what a kernel does follows it and adds none.
  Whoever changes it changes it back (`at_precision`).
- It permits and does not demand: on a CPU products are float32's where less is not faster, and what
  computed a result is recorded (`kernels.dispatch.precision_of`).
- A word is all that results keep of it, so reading them does not need torch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from activations.errors import InputError

Precision = Literal["ieee", "tf32", "bf16"]

PRECISIONS: dict[Precision, str] = {"ieee": "highest", "tf32": "high", "bf16": "medium"}


def precision_called(name: str) -> Precision:
    """The precision of that name. Raises InputError where there is none."""
    for each in PRECISIONS:
        if name == each:
            return each
    raise InputError(f"no precision '{name}'; there are {', '.join(PRECISIONS)}")


def precision() -> Precision:
    """How products may be computed now in this process: ieee (float32), tf32 or bf16."""
    import torch

    of_torch = torch.get_float32_matmul_precision()
    return next(ours for ours, name in PRECISIONS.items() if name == of_torch)


def set_precision(precision: Precision) -> None:
    """Multiply at this precision in this process from now on.

    torch's own products on a CPU stay float32's: they are small, and their bits in bfloat16 might
    depend on what stands beside.
    """
    import torch

    torch.set_float32_matmul_precision(PRECISIONS[precision])
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"  # type: ignore[attr-defined]


@contextmanager
def at_precision(precision: Precision) -> Iterator[None]:
    """Multiply at this precision within, and as before afterwards."""
    import torch

    before = torch.get_float32_matmul_precision()
    set_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
