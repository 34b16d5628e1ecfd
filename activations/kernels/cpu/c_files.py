"""The C that lies in this folder, as text that is put together before it is compiled."""

from functools import cache
from importlib.resources import files

from activations.kernels.precision import Precision


@cache
def c_file(name: str) -> str:
    """One file's text."""
    return (files("activations.kernels.cpu") / name).read_text("utf-8") + "\n"


def vectors_and_products(precision: Precision) -> str:
    """What recurrences and projections are made of, for products of float32 or of bfloat16."""
    how = "#define BF16\n" if precision == "bf16" else ""
    return how + "".join(map(c_file, ("vmath.h", "factors.h", "product.h")))
