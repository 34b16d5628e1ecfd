"""What may be given to a GRU: types, shapes, and whether somebody looks on.

- A tensor that does not fit ends in one sentence before anything is computed: kernels trust shapes.
- A recurrence in 16 bits loses its state, so half and bfloat16 are computed with in float32, here
  and nowhere else; what is returned has the type that torch.nn.GRU returns.
"""

import torch
from torch import Tensor, nn

_PLAIN = (Tensor, nn.Parameter)


def is_observed(*tensors: Tensor | None) -> bool:
    """Whether calls must be operators: somebody traces them, or a tensor is not plain memory."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0:
        return True
    for tensor in tensors:
        if tensor is not None and (type(tensor) not in _PLAIN or tensor.is_meta):
            return True
    return False


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The type that weights of this type are computed with: no recurrence runs in 16 bits."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def under_autocast(tensor: Tensor) -> bool:
    """Whether autocast is on where the tensor lies."""
    device = tensor.device.type
    return device != "meta" and torch.is_autocast_enabled(device)


def returned_type(frames: Tensor, hx: Tensor | None, weight: Tensor) -> torch.dtype:
    """The type torch.nn.GRU would return."""
    if not under_autocast(frames):
        return weight.dtype
    if frames.device.type == "cuda":
        return torch.get_autocast_dtype("cuda")
    return frames.dtype if hx is None else hx.dtype


def check_frames(frames: Tensor, input_size: int, weight: Tensor) -> Tensor:
    """Return frames [N, I] in the type to compute in; ValueError if they do not fit the weights.

    They are of the weights' type; under autocast of any floating type.
    """
    if frames.dim() != 2 or frames.shape[1] != input_size:
        raise ValueError(f"the input's last axis must be {input_size}, got {frames.shape[-1]}")
    _check_type("input", frames, weight)
    return _to_compute_in(frames, weight)


def check_state(h0: Tensor, shape: tuple[int, ...], weight: Tensor) -> Tensor:
    """Return an initial state in the type to compute in; ValueError if it does not fit."""
    if tuple(h0.shape) != shape:
        raise ValueError(f"the initial state must be {list(shape)}, got {list(h0.shape)}")
    _check_type("initial state", h0, weight)
    return _to_compute_in(h0, weight)


def _to_compute_in(tensor: Tensor, weight: Tensor) -> Tensor:
    wanted = computed_in(weight.dtype)
    return tensor if tensor.dtype == wanted else tensor.to(wanted)


def _check_type(name: str, tensor: Tensor, weight: Tensor) -> None:
    other = tensor.dtype != weight.dtype
    mixed = other and under_autocast(tensor) and tensor.is_floating_point()
    if (other and not mixed) or tensor.device != weight.device:
        raise ValueError(
            f"the {name} is {tensor.dtype} on {tensor.device}, "
            f"but the weights are {weight.dtype} on {weight.device}; convert one of them with .to()"
        )
    if not weight.is_floating_point():
        raise ValueError(f"a GRU computes with real numbers, not with {weight.dtype}")
    if tensor.layout != torch.strided:
        raise ValueError(f"the {name} must be a dense tensor, got {tensor.layout}")
