"""Compiling the kernels of many cells while something else is done.

- A study of the whole catalogue needs a library for each activation, a second or two of a core
  each. One after another they would be compiled between the stacks, on one core, while the others
  wait.
- What cannot be compiled is not reported here: whoever needs it will be told.
"""

import contextlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from activations.errors import GateswapError
from activations.kernels.cell import Cell
from activations.kernels.cpu.compiler import compile_library
from activations.kernels.cpu.limits import processors
from activations.kernels.cpu.recurrence import library_source
from activations.kernels.precision import Precision


class CompiledAhead:
    """Compiles the cells' kernels, in their order, on all processors but not beyond `close`."""

    def __init__(self, cells: Iterable[Cell], precision: Precision = "ieee") -> None:
        self._pool = ThreadPoolExecutor(processors(), thread_name_prefix="compile")
        for cell in dict.fromkeys(cells):
            self._pool.submit(_compile, cell, precision)

    def close(self) -> None:
        """Begin no more; what is being compiled is finished and kept."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _compile(cell: Cell, precision: Precision) -> None:
    with contextlib.suppress(GateswapError):
        compile_library(library_source(cell, precision))
