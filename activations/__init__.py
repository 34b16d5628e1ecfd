"""Activations as formulas, and the GRUs they are put into.

- Everything is imported when it is first used: `activations.errors` must not cost a second of torch
  and SymPy, because the command line starts with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from activations.errors import GateswapError as GateswapError
    from activations.errors import InputError as InputError
    from activations.formula.facts import Facts as Facts
    from activations.formula.formula import Formula as Formula
    from activations.formula.formula import Parameter as Parameter
    from activations.formula.parser import parse as parse
    from activations.gru import GRU as GRU
    from activations.gru import StackedGRU as StackedGRU
    from activations.registry import get as get
    from activations.registry import names as names
    from activations.registry import register as register

_HOME = {
    "GRU": "gru",
    "StackedGRU": "gru",
    "Facts": "formula.facts",
    "Formula": "formula.formula",
    "Parameter": "formula.formula",
    "GateswapError": "errors",
    "InputError": "errors",
    "parse": "formula.parser",
    "get": "registry",
    "names": "registry",
    "register": "registry",
}

__all__ = [
    "GRU",
    "Facts",
    "Formula",
    "GateswapError",
    "InputError",
    "Parameter",
    "StackedGRU",
    "get",
    "names",
    "parse",
    "register",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'activations' has no attribute {name!r}")
    return getattr(import_module(f"activations.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
