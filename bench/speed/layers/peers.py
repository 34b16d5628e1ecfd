"""Other people's GRU layers in `gateswap speed`: they take part where they are installed.

- Each gets what its own documentation recommends and nothing it does not offer: an activation, a
  device or a precision that a library lacks leaves it out.
- All have the signature of contestants.py: (formula, shape, batches, device) -> what to time, or
  None.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from activations.formula.formula import Formula
from activations.kernels.precision import precision
from bench.speed.layers.shape import LayerShape

JAX_NAMES = ("tanh", "sigmoid", "relu", "elu", "gelu", "silu", "mish", "softplus", "leaky_relu")

# what FlashRNN computes in, by the precision asked for: it has no tf32
FLASHRNN_TYPES = {"ieee": torch.float32, "bf16": torch.bfloat16}


def flashrnn_gru(
    formula: Formula,
    shape: LayerShape,
    batches: Sequence[Tensor],  # noqa: ARG001 - one batch of equal lengths
    device: torch.device,
) -> Callable[[], object] | None:
    """NX-AI's FlashRNN: its "cuda" backend, the only one that has a GRU, with one head.

    It compiles itself with nvcc when first called. In bf16 its state is bfloat16 too.
    """
    dtype = FLASHRNN_TYPES.get(precision())
    if (
        device.type != "cuda"
        or dtype is None
        or formula.name != "tanh"
        or not shape.plain
        or importlib.util.find_spec("flashrnn") is None
    ):
        return None
    library = importlib.import_module("flashrnn")
    config = library.FlashRNNConfig(
        head_dim=shape.H,
        num_heads=1,
        batch_size=shape.B,
        function="gru",
        backend="cuda",
        dtype=str(dtype).removeprefix("torch."),
        input_shape="TBGHD",
        output_shape="STBHD",
    )
    gru = nn.GRU(shape.I, shape.H, device=device, dtype=dtype)
    weights = [weight.detach().requires_grad_() for weight in flashrnn_weights(gru)]
    x = torch.randn(shape.T, shape.B, shape.I, device=device, dtype=dtype, requires_grad=True)
    gradient = torch.randn(shape.T, shape.B, shape.H, device=device, dtype=dtype)

    def run() -> object:
        w_ih, w_hh, bias = weights
        gates_x = functional.linear(x, w_ih).view(shape.T, shape.B, 3, 1, shape.H)
        states, _ = library.flashrnn(gates_x, w_hh, bias, config=config)
        return torch.autograd.grad(states[0, :, :, 0], (x, *weights), gradient)

    with _stdout_to_stderr():  # the compiler talks; stdout may be waiting for a JSON document
        run()
    return run


def flashrnn_weights(gru: nn.GRU) -> tuple[Tensor, Tensor, Tensor]:
    """A GRU's weights as FlashRNN takes them: w_ih [3H, I], R [3, 1, H, H], b [4, 1, H].

    The input's gates are r, z, n, those of R n, r, z; b has n's recurrent bias, r, z, n's other.
    """
    w_ih, w_hh, b_ih, b_hh = gru.parameters()
    w_r, w_z, w_n = w_hh.chunk(3)
    x_r, x_z, x_n = b_ih.chunk(3)
    h_r, h_z, h_n = b_hh.chunk(3)
    bias = torch.stack([h_n, x_r + h_r, x_z + h_z, x_n])
    return w_ih, torch.stack([w_n, w_r, w_z])[:, None], bias[:, None]


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what this process and its children print to stderr."""
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def jax_gru(
    formula: Formula,
    shape: LayerShape,
    batches: Sequence[Tensor],  # noqa: ARG001 - one batch of equal lengths
    device: torch.device,
) -> Callable[[], object] | None:
    """Flax's GRUCell under JAX's scan, compiled by XLA."""
    # by itself it takes three quarters of a GPU's memory when it starts, for whatever may come
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        import flax.linen
        import jax
    except ImportError:
        return None
    platform = "gpu" if device.type == "cuda" else "cpu"
    if formula.name not in JAX_NAMES or not shape.plain or jax.default_backend() != platform:
        return None
    activation = jax.numpy.tanh if formula.name == "tanh" else getattr(jax.nn, formula.name)
    layer = flax.linen.RNN(
        flax.linen.GRUCell(features=shape.H, activation_fn=activation), time_major=True
    )
    key = jax.random.PRNGKey(0)
    x = jax.random.normal(key, (shape.T, shape.B, shape.I))
    gradient = jax.random.normal(key, (shape.T, shape.B, shape.H))
    weights = layer.init(key, x)

    @jax.jit  # type: ignore[untyped-decorator]
    def step(weights: Any, x: Any) -> Any:
        _, pull_back = jax.vjp(layer.apply, weights, x)
        return pull_back(gradient)

    return lambda: jax.block_until_ready(step(weights, x))


def keras_gru(
    formula: Formula,
    shape: LayerShape,
    batches: Sequence[Tensor],  # noqa: ARG001 - one batch of equal lengths
    device: torch.device,
) -> Callable[[], object] | None:
    """Keras' GRU layer on its torch backend (KERAS_BACKEND=torch; another backend is left out)."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError:
        return None
    if keras.backend.backend() != "torch" or formula.name not in JAX_NAMES or not shape.plain:
        return None
    with torch.device(device):
        layer = keras.layers.GRU(shape.H, activation=formula.name, return_sequences=True)
        x = torch.randn(shape.B, shape.T, shape.I, device=device, requires_grad=True)
        gradient = torch.randn(shape.B, shape.T, shape.H, device=device)
        layer(x)
    weights = [variable.value for variable in layer.trainable_variables]
    return lambda: torch.autograd.grad(layer(x), (x, *weights), gradient)
