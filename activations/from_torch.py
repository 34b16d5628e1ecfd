"""Formulas for torch's own activations, settings included.

- `nn.ELU(alpha=0.5)` handed to a GRU must run as ELU with 0.5, not as the catalogue's with 1.
- What is not known is refused: an arbitrary callable has no derivative and no kernel, and guessing from its name would be
  the way to run the wrong activation.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from activations.errors import InputError

_CALLABLES: dict[str, tuple[object, ...]] = {
    "tanh": (torch.tanh, F.tanh, torch.Tensor.tanh),
    "sigmoid": (torch.sigmoid, F.sigmoid, torch.Tensor.sigmoid, torch.special.expit),
    "hardtanh": (F.hardtanh,),
    "hard_sigmoid": (F.hardsigmoid,),
    "softsign": (F.softsign,),
    "tanhshrink": (F.tanhshrink,),
    "arctan": (torch.atan, torch.arctan, torch.Tensor.atan),
    "erf": (torch.erf, torch.special.erf, torch.Tensor.erf),
    "sine": (torch.sin, torch.Tensor.sin),
    "cosine": (torch.cos, torch.Tensor.cos),
    "relu": (torch.relu, F.relu, torch.Tensor.relu),
    "relu6": (F.relu6,),
    "leaky_relu": (F.leaky_relu,),
    "softshrink": (F.softshrink,),
    "hardshrink": (F.hardshrink,),
    "elu": (F.elu,),
    "selu": (F.selu, torch.selu),
    "celu": (F.celu, torch.celu),
    "softplus": (F.softplus,),
    "log_sigmoid": (F.logsigmoid,),
    "silu": (F.silu,),
    "hard_swish": (F.hardswish,),
    "gelu": (F.gelu,),
    "mish": (F.mish,),
    "prelu": (F.prelu, torch.prelu),
    "rrelu": (F.rrelu, torch.rrelu),
}


def _number(value: float | bool | torch.Tensor) -> str:
    return repr(float(value))


_MODULES: dict[type[nn.Module], Callable[..., str]] = {
    nn.Identity: lambda m: "identity",
    nn.Tanh: lambda m: "tanh",
    nn.Sigmoid: lambda m: "sigmoid",
    nn.Hardsigmoid: lambda m: "hard_sigmoid",
    nn.Softsign: lambda m: "softsign",
    nn.Tanhshrink: lambda m: "tanhshrink",
    nn.ReLU: lambda m: "relu",
    nn.ReLU6: lambda m: "relu6",
    nn.SELU: lambda m: "selu",
    nn.SiLU: lambda m: "silu",
    nn.Hardswish: lambda m: "hard_swish",
    nn.Mish: lambda m: "mish",
    nn.LogSigmoid: lambda m: "log_sigmoid",
    nn.GELU: lambda m: "gelu" if m.approximate == "none" else "gelu_tanh",
    nn.Hardtanh: lambda m: f"clamp(x, {_number(m.min_val)}, {_number(m.max_val)})",
    nn.LeakyReLU: lambda m: f"max(x, 0) + {_number(m.negative_slope)}*min(x, 0)",
    nn.Softshrink: lambda m: f"max(x - {_number(m.lambd)}, 0) + min(x + {_number(m.lambd)}, 0)",
    nn.Hardshrink: lambda m: f"where(abs(x) > {_number(m.lambd)}, x, 0)",
    nn.ELU: lambda m: f"max(x, 0) + {_number(m.alpha)}*expm1(min(x, 0))",
    nn.CELU: lambda m: f"max(x, 0) + {_number(m.alpha)}*expm1(min(x, 0)/{_number(m.alpha)})",
    nn.Softplus: lambda m: f"softplus({_number(m.beta)}*x)/{_number(m.beta)}",
    nn.Threshold: lambda m: f"where(x > {_number(m.threshold)}, x, {_number(m.value)})",
    nn.RReLU: lambda m: f"max(x, 0) + {_number((m.lower + m.upper) / 2)}*min(x, 0)",
    nn.PReLU: lambda m: _prelu(m),
}


def _prelu(module: nn.PReLU) -> str:
    weights = module.weight.detach()
    if not bool((weights == weights[0]).all()):
        raise InputError(
            "this PReLU has learnt different slopes for its units; use activation='prelu' and load them as parameters"
        )
    unit = " per unit" if len(weights) > 1 else ""
    return f"max(x, 0) + a*min(x, 0); a={_number(weights[0])}{unit}"


def name_or_text(spec: object) -> str:
    """The registry name, or the formula's text, of a torch function, torch.nn module or torch.nn class.

    A class stands for its module with default settings; an RReLU for its mean slope, as in evaluation.
    Raises InputError for anything else.
    """
    if isinstance(spec, type) and spec in _MODULES:
        return _MODULES[spec](spec())
    if isinstance(spec, nn.Module) and type(spec) in _MODULES:
        return _MODULES[type(spec)](spec)
    for name, callables in _CALLABLES.items():
        if any(spec is each for each in callables):
            return name
    shown = getattr(spec, "__name__", None) or type(spec).__name__
    raise InputError(
        f"{shown!a} is not an activation Gateswap knows; "
        "give a name (see: gateswap activations) or a formula such as 'x*sigmoid(x)'"
    )
