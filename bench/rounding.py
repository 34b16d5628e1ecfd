"""Asking Intel MKL to round alike wherever a product's arguments lie.

- MKL rounds a matrix product differently when its arguments lie differently in memory. A member's
  frames lie elsewhere in every stack, so its numbers would depend on its companions in the last
  bit. The strict mode costs nothing that could be measured (float32, 16 … 1536 columns, two Zen 5
  cores).
- MKL reads the setting when it is first used and never again. Where torch is loaded already, MKL
  itself is asked whether it has heard; it answers by a function that its headers do not name and
  that torch's library, which contains MKL, exports.
"""

import ctypes
import os
import sys
import warnings
from pathlib import Path

VARIABLE, STRICT = "MKL_CBWR", "AUTO,STRICT"
ALL, OFF = -1, 1  # MKL_CBWR_ALL, MKL_CBWR_BRANCH_OFF of mkl_types.h


def ask_mkl() -> None:
    """Ask for the strict mode, unless the user asked for one; warn where it comes too late."""
    if os.environ.setdefault(VARIABLE, STRICT) == STRICT and _too_late():
        warnings.warn(
            "Intel MKL was used before bench was imported, so that the last bits of a member's "
            "results may depend on the members it trains with; import bench before anything that "
            f"computes, or set {VARIABLE}={STRICT} before Python starts",
            stacklevel=3,
        )


def _too_late() -> bool:
    """Whether MKL is in use already and without its reproducible modes."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.__file__:
        return False
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return int(library.mkl_serv_cbwr_get(ALL)) == OFF
    except (OSError, AttributeError):  # no such file, or no MKL in it: another system or processor
        return False
