"""The contestant of batched products: its arithmetic, and that its kernels compile."""

import pytest
import torch

from activations.kernels.cell import Cell
from activations.registry import get
from bench.speed.layers.batched import batched_products
from bench.speed.layers.shape import LayerShape
from tests.interpreter import compiled, interpret

pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")

# activation, R, T, B, I, H: more rows and units than a tile, one step, one row
CASES = [
    ("tanh", 3, 4, 5, 2, 20),
    ("mish", 2, 3, 2, 3, 130),
    ("relu", 2, 1, 3, 2, 5),
    ("softsign", 1, 3, 1, 1, 1),
]

COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
import triton
from activations.kernels.cell import Cell
from activations.kernels.gpu.triton_code import triton_sites
from activations.registry import get
from bench.speed.layers import batched
from bench.speed.layers import batched_kernels

sigmoid = get("sigmoid")
sites = triton_sites(Cell(sigmoid, sigmoid, get("gelu")))
for kernel in (batched_kernels.gates_forward, batched_kernels.gates_backward):
    constants = dict(batched._tiles(512))
    for name, site in sites.items():
        constants |= {name.upper(): site.value, f"{name.upper()}_SLOPE": site.slope}
    constants = {name: each for name, each in constants.items() if name in kernel.arg_names}
    signature = {
        name: "constexpr" if name in constants else "i32" if name in "tTBH" else "*fp32"
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    print(len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]))
"""


def test_batched_products_train_as_the_eager_loop_does_in_values_and_gradients() -> None:
    found = interpret("bench.speed.layers.interpreted_batched_products", CASES)
    for case, errors in zip(CASES, found, strict=True):
        # a few float32 roundings (6e-8 each) along at most four steps
        wrong = {tensor: error for tensor, error in errors.items() if not error < 2e-6}
        assert not wrong, case


def test_the_gate_kernels_compile_for_a_gpu_that_is_not_here() -> None:
    printed = compiled("-c", COMPILE)
    assert all(int(size) > 0 for size in printed.split())


def test_on_a_cpu_batched_products_take_no_part() -> None:
    shape = LayerShape(T=3, B=2, I=2, H=4, R=2)
    batches = [torch.full((2, 2), 3)]
    assert batched_products(get("tanh"), shape, batches, torch.device("cpu")) is None


@pytest.mark.gpu
def test_a_captured_pass_gives_on_every_replay_what_the_pass_gives() -> None:
    from bench.speed.layers.batched import train
    from bench.speed.machine import captured

    R, T, B, H = 3, 7, 5, 64
    inputs = [
        torch.randn(R, *shape, device="cuda")
        for shape in ((T, B, 9), (3 * H, 9), (3 * H, H), (3 * H,), (3 * H,), (T, B, H))
    ]
    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    truth = train(*inputs, cell)
    replay = captured(lambda: train(*inputs, cell))
    for _ in range(2):
        results = replay()
        for mine, true in zip(results, truth, strict=True):
            torch.testing.assert_close(mine, true)
