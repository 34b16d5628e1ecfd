"""Kernels that know first derivatives only: a second one is refused, never left out.

torch's own `once_differentiable` raises only where the incoming gradient has a graph; behind a
frozen or linear layer it has none, and a gradient penalty would count as a constant.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from activations.errors import GateswapError

P = ParamSpec("P")
R = TypeVar("R")


def first_only(backward: Callable[P, R]) -> Callable[P, R]:
    """A function's backward that raises GateswapError where it is to be differentiated again."""

    @wraps(backward)
    def checked(*arguments: P.args, **options: P.kwargs) -> R:
        if torch.is_grad_enabled():
            raise GateswapError(
                "a network's GPU kernels have no second derivative (create_graph=True); "
                "build it with implementation='reference'"
            )
        return backward(*arguments, **options)

    return checked
