"""Activations as formulas, and the GRUs they are put into.

An activation is found by any name it has, or typed:

>>> import activations
>>> relu = activations.get("ReLU")
>>> relu.text
'max(x, 0)'
>>> typed = activations.get("x*sigmoid(b*x); b=1.5")
>>> typed.inputs, typed.initial
(('x', 'b'), (1.5,))
>>> activations.register("x/(1 + abs(x))**2", name="hump").name in activations.names()
True
>>> activations.describe("hump")["derivatives"]
{'x': '-2*x*sign(x)/(abs(x) + 1)**3 + 1/(abs(x) + 1)**2'}

It goes into a GRU that is used like torch's, `activation` in tanh's place:

>>> import torch
>>> gru = activations.GRU(3, 4, bidirectional=True, activation="relu")
>>> states, last = gru(torch.zeros(7, 2, 3))  # [time, batch, inputs]
>>> tuple(states.shape), tuple(last.shape)
((7, 2, 8), (2, 2, 4))
>>> {name for name, _ in gru.named_parameters()} == {
...     name for name, _ in torch.nn.GRU(3, 4, bidirectional=True).named_parameters()
... }
True

`StackedGRU` is several GRUs in one, over frames that a `Packing` describes: here two GRUs, and two
sequences of 3 and 1 frames for each.

>>> packing = activations.Packing.from_lengths(torch.tensor([[3, 1], [3, 1]]))
>>> packing.N, packing.groups, packing.rows
(8, 2, 2)
>>> figure = activations.plot("gelu")  # or to a file: plot("gelu", "gelu.svg")
>>> [line.get_label() for line in figure.axes[0].lines[2:]]
['f = gelu', '∂f/∂x']

Everything is imported when it is first used: `activations.errors` must not cost a second of torch
and SymPy, because the command line starts with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from activations.description import describe as describe
    from activations.description import plot as plot
    from activations.errors import GateswapError as GateswapError
    from activations.errors import InputError as InputError
    from activations.formula.facts import Facts as Facts
    from activations.formula.formula import Formula as Formula
    from activations.formula.formula import Parameter as Parameter
    from activations.formula.parser import parse as parse
    from activations.gru import GRU as GRU
    from activations.gru import StackedGRU as StackedGRU
    from activations.kernels.decomposition import decompositions as decompositions
    from activations.kernels.packing import Packing as Packing
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
    "Packing": "kernels.packing",
    "decompositions": "kernels.decomposition",
    "describe": "description",
    "plot": "description",
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
    "Packing",
    "Parameter",
    "StackedGRU",
    "decompositions",
    "describe",
    "get",
    "names",
    "parse",
    "plot",
    "register",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'activations' has no attribute {name!r}")
    return getattr(import_module(f"activations.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
