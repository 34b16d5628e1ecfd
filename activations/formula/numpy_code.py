"""Programs as NumPy functions, in doubles: to draw a formula where nothing trains.

- The same program as torch's function, so that a figure shows what ran; importing torch takes
  longer than to draw all activations of a study.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

from activations.formula.printer import PythonPrinter, python_source
from activations.formula.program import Program


class NumpyPrinter(PythonPrinter):
    """NumPy over the functions of `_NAMESPACE`."""

    names: Mapping[str, str] = {"max": "maximum", "min": "minimum", "atan": "arctan"}

    def choose(self, condition: str, yes: str, no: str) -> str:
        """numpy.where."""
        return f"where({condition}, {yes}, {no})"


def compile_numpy(program: Program) -> Callable[..., NDArray[np.float64]]:
    """`(x, *parameters)` as doubles that broadcast against each other, to the program's first
    output in their common shape.
    """
    space: dict[str, Any] = dict(_NAMESPACE)
    exec(compile(python_source(program, NumpyPrinter, "formula"), "<formula>", "exec"), space)
    formula = cast(Callable[..., tuple[Any, ...]], space["formula"])

    def evaluate(*inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):  # of the branch not taken
            first = formula(*inputs)[0]
        shape = np.broadcast_shapes(*(np.shape(each) for each in inputs))
        return np.array(np.broadcast_to(np.asarray(first, dtype=np.float64), shape))

    return evaluate


_NAMESPACE: dict[str, Any] = {
    "__builtins__": {},
    "float": float,
    "erf": special.erf,
    "sigmoid": special.expit,
    "softplus": lambda u: np.logaddexp(u, 0.0),
} | {
    name: getattr(np, name)
    for name in (
        "abs", "arctan", "cos", "exp", "expm1", "log", "log1p", "maximum", "minimum", "sign",
        "sin", "sqrt", "tanh", "where",
    )
}  # fmt: skip
