"""Formulas for torch's own activations, settings included.

- `nn.ELU(alpha=0.5)` handed to a GRU must run as ELU with 0.5, not as the catalogue's with 1.
- What is not known is refused: an arbitrary callable has no derivative and no kernel, and guessing
  from its name would be the way to run the wrong activation.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from activations.errors import InputError

_CALLABLES: dict[str, tuple[object, ...]] = {
    "tanh": (torch.tanh, functional.tanh, torch.Tensor.tanh),
    "sigmoid": (torch.sigmoid, functional.sigmoid, torch.Tensor.sigmoid, torch.special.expit),
    "hardtanh": (functional.hardtanh,),
    "hard_sigmoid": (functional.hardsigmoid,),
    "softsign": (functional.softsign,),
    "tanhshrink": (functional.tanhshrink,),
    "arctan": (torch.atan, torch.arctan, torch.Tensor.atan),
    "erf": (torch.erf, torch.special.erf, torch.Tensor.erf),
    "sine": (torch.sin, torch.Tensor.sin),
    "cosine": (torch.cos, torch.Tensor.cos),
    "relu": (torch.relu, functional.relu, torch.Tensor.relu),
    "relu6": (functional.relu6,),
    "leaky_relu": (functional.leaky_relu,),
    "softshrink": (functional.softshrink,),
    "hardshrink": (functional.hardshrink,),
    "elu": (functional.elu,),
    "selu": (functional.selu, torch.selu),
    "celu": (functional.celu, torch.celu),
    "softplus": (functional.softplus,),
    "log_sigmoid": (functional.logsigmoid,),
    "silu": (functional.silu,),
    "hard_swish": (functional.hardswish,),
    "gelu": (functional.gelu,),
    "mish": (functional.mish,),
    "prelu": (functional.prelu, torch.prelu),
    "rrelu": (functional.rrelu, torch.rrelu),
}


def _number(value: float | bool | torch.Tensor) -> str:
    return repr(float(value))


_PLAIN_MODULES: dict[type[nn.Module], str] = {
    nn.Identity: "identity",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.Hardsigmoid: "hard_sigmoid",
    nn.Softsign: "softsign",
    nn.Tanhshrink: "tanhshrink",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.SELU: "selu",
    nn.SiLU: "silu",
    nn.Hardswish: "hard_swish",
    nn.Mish: "mish",
    nn.LogSigmoid: "log_sigmoid",
}

_MODULES_WITH_SETTINGS: dict[type[nn.Module], tuple[str, Callable[..., str]]] = {
    nn.Hardtanh: ("hardtanh", lambda m: f"clamp(x, {_number(m.min_val)}, {_number(m.max_val)})"),
    nn.LeakyReLU: (
        "leaky_relu",
        lambda m: f"max(x, 0) + {_number(m.negative_slope)}*min(x, 0)",
    ),
    nn.Softshrink: (
        "softshrink",
        lambda m: f"max(x - {_number(m.lambd)}, 0) + min(x + {_number(m.lambd)}, 0)",
    ),
    nn.Hardshrink: ("hardshrink", lambda m: f"where(abs(x) > {_number(m.lambd)}, x, 0)"),
    nn.ELU: ("elu", lambda m: f"max(x, 0) + {_number(m.alpha)}*expm1(min(x, 0))"),
    nn.CELU: (
        "celu",
        lambda m: f"max(x, 0) + {_number(m.alpha)}*expm1(min(x, 0)/{_number(m.alpha)})",
    ),
    nn.Softplus: ("softplus", lambda m: f"softplus({_number(m.beta)}*x)/{_number(m.beta)}"),
    nn.RReLU: ("rrelu", lambda m: f"max(x, 0) + {_number((m.lower + m.upper) / 2)}*min(x, 0)"),
    nn.GELU: ("gelu", lambda m: "gelu" if m.approximate == "none" else "gelu_tanh"),
    nn.PReLU: ("prelu", lambda m: _prelu(m)),
}


def _prelu(module: nn.PReLU) -> str:
    weights = module.weight.detach()
    if not bool((weights == weights[0]).all()):
        raise InputError(
            "this PReLU has learnt different slopes for its units; "
            "use activation='prelu' and load them as parameters"
        )
    unit = " per unit" if len(weights) > 1 else ""
    return f"max(x, 0) + a*min(x, 0); a={_number(weights[0])}{unit}"


def name_or_text(spec: object) -> str:
    """The registry name, or the formula's text, of what torch calls an activation.

    spec: a torch function, a torch.nn module (its settings are kept) or a torch.nn class (its
    default settings). An RReLU stands for its mean slope, as in evaluation.
    Raises InputError for anything else.
    """
    kind = spec if isinstance(spec, type) else type(spec)
    if kind in _PLAIN_MODULES:
        return _PLAIN_MODULES[kind]
    if kind in _MODULES_WITH_SETTINGS:
        name, text = _MODULES_WITH_SETTINGS[kind]
        return name if spec is kind or text(spec) == text(kind()) else text(spec)
    if isinstance(spec, nn.Threshold):
        return f"where(x > {_number(spec.threshold)}, x, {_number(spec.value)})"
    for name, callables in _CALLABLES.items():
        if any(spec is each for each in callables):
            return name
    shown = getattr(spec, "__name__", None) or type(spec).__name__
    raise InputError(
        f"{shown!a} is not an activation Gateswap knows; "
        "give a name (see: gateswap activations) or a formula such as 'x*sigmoid(x)'"
    )
