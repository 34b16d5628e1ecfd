"""Formulas as Triton functions, and the module that holds those of one cell.

- A kernel takes the activations as compile-time arguments, so each formula becomes functions of one
  fixed form: `value`, `slope` (by x), and one slope for each parameter, all of
  `(x, p, k, unit, K)`: p points at a recurrence's parameters [P, K], k are the unit numbers of x's
  columns, K is 1 (per layer) or H (per unit).
- Triton compiles functions from source files: the module is written into the kernel cache, named by
  its content, and imported from there.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import sympy

from activations.formula.formula import Formula
from activations.formula.printer import PythonPrinter, python_words
from activations.formula.program import build_program
from activations.kernels.cache import keep
from activations.kernels.cell import SITES, Cell

_HEADER = '''"""Written from formulas; see activations/kernels/gpu/triton_code.py."""

import triton
import triton.language as tl

from activations.kernels.gpu.functions import (
    atan, expm1, log1p, maximum, minimum, sigmoid, sign, softplus, tanh,
)
'''


class TritonPrinter(PythonPrinter):
    """Triton over tl and functions.py."""

    names: Mapping[str, str] = {"max": "maximum", "min": "minimum"} | {
        name: f"tl.{name}" for name in ("abs", "cos", "erf", "exp", "log", "sin", "sqrt")
    }

    def choose(self, condition: str, yes: str, no: str) -> str:
        """tl.where."""
        return f"tl.where({condition}, {yes}, {no})"


@dataclass(frozen=True)
class TritonSite:
    """The compiled functions of one site: value, slope by x, and a slope for each parameter."""

    value: Any
    slope: Any
    parameter_slopes: tuple[Any, ...]


def triton_source(cell: Cell) -> str:
    """The module's source: for each site `value_{site}`, `slope_{site}`, `slope_{site}_{i}`."""
    functions = [_HEADER]
    for site, formula in zip(SITES, cell.formulas, strict=True):
        functions.append(_function(f"value_{site}", formula, "value"))
        functions.append(_function(f"slope_{site}", formula, "x"))
        for i, parameter in enumerate(formula.parameters):
            functions.append(_function(f"slope_{site}_{i}", formula, parameter.name))
    return "\n\n".join(functions)


@cache
def triton_sites(cell: Cell) -> dict[str, TritonSite]:
    """The functions of each site, imported from the kernel cache, where they are written first."""
    module = _import(triton_source(cell))
    return {
        site: TritonSite(
            value=getattr(module, f"value_{site}"),
            slope=getattr(module, f"slope_{site}"),
            parameter_slopes=tuple(
                getattr(module, f"slope_{site}_{i}") for i in range(len(formula.parameters))
            ),
        )
        for site, formula in zip(SITES, cell.formulas, strict=True)
    }


def _import(source: str) -> ModuleType:
    name = f"gateswap_triton_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
    path = keep(f"{name}.py", lambda temporary: _write(temporary, source))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def _write(path: Path, source: str) -> None:
    path.write_text(source)


def _function(name: str, formula: Formula, output: str) -> str:
    program = build_program(formula.inputs, formula.expression, (output,))
    words = python_words(program)
    printer = TritonPrinter(program, words)
    used = {
        s.name for e in (*program.outputs, *(e for _, e in program.steps)) for s in e.free_symbols
    }
    lines = ["@triton.jit", f"def {name}(x, p, k, unit, K: tl.constexpr):"]
    for i, parameter in enumerate(formula.parameters):
        if parameter.name in used:
            word = words[parameter.name]
            lines += [
                "    if K == 1:",
                f"        {word} = tl.load(p + {i})",
                "    else:",
                f"        {word} = tl.load(p + {i} * K + k, mask=unit, other=0.0)[None, :]",
            ]
    lines += [f"    {line}" for line in printer.lines]
    # what does not depend on x still has x's shape, so that every formula fits every kernel
    flat = sympy.Symbol("x") not in program.outputs[0].free_symbols and not program.steps
    lines.append(f"    return {printer.outputs[0]}" + (" + tl.zeros_like(x)" if flat else ""))
    return "\n".join(lines) + "\n"
