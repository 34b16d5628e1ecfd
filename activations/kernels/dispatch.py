"""Which implementation of the recurrence runs: one contract, three interchangeable ones.

- `reference` (plain PyTorch) is the definition of truth, `cpu` (compiled C) and `gpu` (Triton) are
  checked against it.
- Which one runs is decided in one place, here, and can be asked for (`describe`): a result that
  does not say what computed it cannot be compared. A slower path than the one expected is taken
  with a warning, a wrong one never.
- None of the three needs its compiler or Triton before it is asked to run.
"""

import warnings
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from activations.errors import GateswapError, InputError
from activations.kernels import layer as layers
from activations.kernels import reference
from activations.kernels.cell import SITES, Cell, Parameters
from activations.kernels.cpu import calibration
from activations.kernels.cpu import recurrence as cpu
from activations.kernels.gpu import recurrence as gpu
from activations.kernels.packing import Packing
from activations.kernels.precision import Precision
from activations.kernels.precision import precision as permitted_precision
from activations.kernels.projection import project

IMPLEMENTATIONS = ("auto", "reference", "cpu", "gpu")

_warned: set[str] = set()  # reasons for a slower path that were given to the user


class _Implementation(Protocol):
    """What kernels/reference.py, cpu/recurrence.py and gpu/recurrence.py say of themselves."""

    def available(self, cell: Cell, dtype: torch.dtype) -> str | None:
        """None where this cell can run here, otherwise the reason why it cannot."""

    def describe(self, cell: Cell, precision: Precision) -> str:
        """Name what computes this cell with such products."""


_MODULES: dict[str, _Implementation] = {"reference": reference, "cpu": cpu, "gpu": gpu}


def recurrence(
    gates_x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    packing: Packing,
    cell: Cell,
    parameters: Parameters,
    h0: Tensor | None = None,
    *,
    implementation: str = "auto",
) -> Tensor:
    """Run G × D GRU recurrences over packed frames and return every state, h [N, D, H].

    gates_x [N, D, 3H]: the input projection with its bias, gates in torch's order r, z, n.
    w_hh [G, D, 3H, H], b_hh [G, D, 3H]. D is 1 or 2; direction 1 runs backward in time from each
    row's own last frame.
    parameters: the learnable parameters of (update, reset, candidate), each [G, D, P, K] with P
    that formula's number of parameters (0 allowed) and K = 1 (per layer) or H (per unit).
    h0 [G, D, B, H] in the order of packing.lengths, None for zeros. A row of length 0 has no
    frames here.
    Differentiable in every floating-point argument. float32; the reference also float64.
    implementation: "auto" takes the GPU kernel for CUDA tensors and the CPU kernel otherwise, and
    where that cannot run, the reference with one warning that says why; a name takes that one or
    raises. In forward mode it is the reference whatever was asked for, with a warning, too.

    Raises ValueError for shapes that do not fit together, InputError for an unknown
    implementation, GateswapError for one that cannot run here.
    """
    _check(gates_x, w_hh, b_hh, packing, cell, parameters, h0)
    packing = packing.to(gates_x.device)
    chosen = _choose_for(gates_x, cell, implementation)
    if chosen == "reference":
        return reference.recurrence(gates_x, w_hh, b_hh, packing, cell, parameters, h0)
    call = layers.Call(
        packing, cell, chosen, precision=precision_of(chosen, w_hh.shape[-1], w_hh.device)
    )
    with torch.cuda.device_of(gates_x):  # type: ignore[no-untyped-call]
        return layers.run(call, layers.Tensors(gates_x, None, None, w_hh, b_hh, h0, *parameters))


def layer(
    frames: Tensor,
    w_ih: Tensor,
    b_ih: Tensor | None,
    w_hh: Tensor,
    b_hh: Tensor,
    packing: Packing,
    cell: Cell,
    parameters: Parameters,
    h0: Tensor | None = None,
    *,
    implementation: str = "auto",
    stacked: bool = True,
    shape: tuple[int, ...] | None = None,
) -> Tensor:
    """Project frames [N, I] by w_ih [G, D * 3H, I] and b_ih [G, D * 3H], and run `recurrence`.

    stacked: whether groups' bits must not depend on their companions' (torch's product on a GPU
    does not promise it). shape: of the result, [N, D, H] if None; a hint, for a caller who wants no
    view. Raises as `recurrence`.
    """
    N, D, H = packing.N, w_hh.shape[1], w_hh.shape[-1]
    tensors = layers.Tensors(frames, w_ih, b_ih, w_hh, b_hh, h0, *parameters)
    check_layer(tensors, packing, cell)
    if shape is not None and prod(shape) != N * D * H:
        raise ValueError(f"the states are [{N}, {D}, {H}], which cannot be {list(shape)}")
    packing = packing.to(frames.device)
    chosen = _choose_for(frames, cell, implementation)
    if chosen == "reference":
        gates_x = project(frames, w_ih, b_ih, packing).view(N, D, 3 * H)
        return reference.recurrence(gates_x, w_hh, b_hh, packing, cell, parameters, h0)
    precision = precision_of(chosen, H, frames.device)
    call = layers.Call(packing, cell, chosen, stacked, precision, shape=shape)
    # Triton launches on the current device
    with torch.cuda.device_of(frames):  # type: ignore[no-untyped-call]
        return layers.run(call, tensors)


def check_layer(tensors: layers.Tensors, packing: Packing, cell: Cell) -> None:
    """Raise ValueError where a layer's arguments do not fit: a kernel would read beyond them."""
    frames, w_ih, b_ih, w_hh, b_hh, h0, *_ = tensors
    assert w_ih is not None  # only `recurrence` has none, which checks for itself
    D, H = w_hh.shape[1], w_hh.shape[-1]
    if frames.dim() != 2 or w_ih.shape != (len(w_hh), 3 * D * H, frames.shape[-1]):
        raise ValueError(
            f"frames {list(frames.shape)} and their weights {list(w_ih.shape)} do not fit "
            f"{len(w_hh)} groups of {D} directions and {H} units"
        )
    if b_ih is not None and b_ih.shape != w_ih.shape[:2]:
        raise ValueError(f"b_ih must be {list(w_ih.shape[:2])}, got {list(b_ih.shape)}")
    # what the gates would be, without the memory
    gates_x = frames.new_empty(()).expand(len(frames), D, 3 * H)
    _check(gates_x, w_hh, b_hh, packing, cell, tensors.parameters, h0)
    for name, tensor in (("w_ih", w_ih), *((("b_ih", b_ih),) if b_ih is not None else ())):
        if tensor.dtype != frames.dtype or tensor.device != frames.device:
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, but the frames are {frames.dtype} "
                f"on {frames.device}"
            )


def forward_mode() -> bool:
    """Whether derivatives are carried forward (`torch.func.jvp`), which no kernel does."""
    return torch.autograd.forward_ad._current_level >= 0


def choose(
    cell: Cell,
    *,
    implementation: str = "auto",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> str:
    """Say which implementation runs this cell: "reference", "cpu" or "gpu".

    Where "auto" has to take the reference it warns, once for each reason.
    Raises InputError for an unknown implementation, GateswapError for one asked for that cannot
    run here.
    """
    if implementation not in IMPLEMENTATIONS:
        raise InputError(
            f"no implementation {implementation!r}; there are {', '.join(IMPLEMENTATIONS)}"
        )
    wanted = implementation
    if wanted == "auto":
        wanted = "gpu" if torch.device(device).type == "cuda" else "cpu"
    reason = _MODULES[wanted].available(cell, dtype)
    if reason is None:
        return wanted
    if implementation != "auto" or _MODULES["reference"].available(cell, dtype) is not None:
        raise GateswapError(f"the {wanted} kernel cannot run here: {reason}")
    return _take_reference(reason)


def precision_of(chosen: str, hidden: int, device: torch.device | str = "cpu") -> Precision:
    """How precisely an implementation (see `choose`) multiplies for GRUs of that size now.

    What torch is set to on a GPU. On a CPU that is a permission: products are of bfloat16 where it
    is given and a GRU of that size is faster with them, and else float32's.
    """
    permitted = permitted_precision()
    if chosen == "gpu" or torch.device(device).type == "cuda":
        return permitted
    bf16 = chosen == "cpu" and permitted == "bf16" and calibration.refusal(hidden) is None
    return "bf16" if bf16 else "ieee"


def _choose_for(tensor: Tensor, cell: Cell, implementation: str) -> str:
    """`choose` for a call with tensors like this one; forward mode takes the reference."""
    chosen = choose(cell, implementation=implementation, device=tensor.device, dtype=tensor.dtype)
    if chosen != "reference" and forward_mode():
        return _take_reference("no kernel carries derivatives forward (torch.func.jvp)")
    return chosen


def _take_reference(reason: str) -> str:
    """Take the reference in a kernel's place, with one warning for each reason."""
    if reason not in _warned:
        _warned.add(reason)
        warnings.warn(
            f"GRU recurrences run on the slow reference implementation: {reason}", stacklevel=3
        )
    return "reference"


def describe(
    cell: Cell,
    hidden: int,
    *,
    implementation: str = "auto",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> str:
    """Name what runs this cell at a size, for result files: "cpu (gcc 12.2, …)", "reference (…)".

    Raises as `choose`.
    """
    chosen = choose(cell, implementation=implementation, device=device, dtype=dtype)
    return _MODULES[chosen].describe(cell, precision_of(chosen, hidden, device))


def _check(
    gates_x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor,
    packing: Packing,
    cell: Cell,
    parameters: Parameters,
    h0: Tensor | None,
) -> None:
    """Raise ValueError where shapes do not fit: a kernel would read beyond an array."""
    G, B, N = packing.groups, packing.rows, packing.N
    D, H = w_hh.shape[1], w_hh.shape[-1]
    wanted = {
        "gates_x": (gates_x, (N, D, 3 * H)),
        "w_hh": (w_hh, (G, D, 3 * H, H)),
        "b_hh": (b_hh, (G, D, 3 * H)),
    }
    if h0 is not None:
        wanted["h0"] = (h0, (G, D, B, H))
    for site, formula, values in zip(SITES, cell.formulas, parameters, strict=True):
        K = H if values.shape[-1] == H else 1
        wanted[f"{site} parameters"] = (values, (G, D, len(formula.parameters), K))
    for name, (tensor, shape) in wanted.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must be {list(shape)}, got {list(tensor.shape)}")
        if tensor.dtype != gates_x.dtype:
            raise ValueError(f"{name} is {tensor.dtype}, but gates_x is {gates_x.dtype}")
        if tensor.device != gates_x.device:
            raise ValueError(f"{name} is on {tensor.device}, but gates_x is on {gates_x.device}")
    if D not in (1, 2):
        raise ValueError(f"a recurrence has one or two directions, got {D}")
