"""Compile the training step's GPU kernels for sm_80 and sm_90, which need not be here.

Run by test_compiled_ahead.py as a process of its own, because Triton must not interpret. Prints one
JSON document: kernel → {"sm_80": bytes of shared memory, "sm_90": …}.
"""

import json
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bench.network.gpu import adam as optimiser_gpu
from bench.network.gpu import attention as attention_gpu
from bench.network.gpu import dropout as dropout_gpu
from bench.network.gpu import loss as loss_gpu
from bench.network.gpu import norm as norm_gpu

WIDTH, UNITS, ROWS, DENSE, CLASSES = 1024, 16, 64, 64, 4  # of the published network, BiGRU
WALK = attention_gpu.blocks(WIDTH, UNITS) | {"HAS_OFFER": True}
DRAW = dropout_gpu.BLOCKS | {"LOW": 0xFFFFFFF0, "HIGH": 1}
NORM = norm_gpu.blocks(ROWS, DENSE) | {"EPSILON": 1e-5}
LOSS = loss_gpu.blocks(ROWS, CLASSES)
KERNELS: list[tuple[Any, dict[str, Any]]] = [
    (attention_gpu.attention_forward, WALK),
    (attention_gpu.attention_backward, WALK),
    (attention_gpu.sum_of_rows, attention_gpu.sum_blocks(UNITS)),
    (dropout_gpu.fill_frames, DRAW),
    (dropout_gpu.fill_dense, DRAW),
    (optimiser_gpu.sum_squares, optimiser_gpu.BLOCKS),
    (optimiser_gpu.settle, optimiser_gpu.SETTLE),
    (optimiser_gpu.update, optimiser_gpu.UPDATE),
    (loss_gpu.cross_entropy_forward, LOSS),
    (loss_gpu.cross_entropy_backward, LOSS),
    (norm_gpu.norm_forward, NORM),
    (norm_gpu.norm_backward, NORM),
]
INTEGERS = {"B", "T", "A", "W", "C", "D", "M", "K", "features", "width", "blocks", "size"}
TYPES = {
    "*i64": {"starts", "firsts", "lengths", "order", "step", "steps", "table", "labels"},
    "*i32": {"bounds"},
    "*u8": {"alive"},
}


def kind(kernel: Any, argument: str, constants: dict[str, Any]) -> str:
    if argument in constants:
        return "constexpr"
    if argument == "keys" and kernel.__module__ == dropout_gpu.__name__:
        return "*i64"  # of members; attention's are numbers
    if argument in INTEGERS:
        return "i32"
    return next((name for name, those in TYPES.items() if argument in those), "*fp32")


def shared_bytes(kernel: Any, constants: dict[str, Any], architecture: int) -> int:
    options = {"num_warps": constants["num_warps"]}
    constants = {name: value for name, value in constants.items() if name not in options}
    source = ASTSource(
        fn=kernel,
        signature={name: kind(kernel, name, constants) for name in kernel.arg_names},
        constexprs=constants,
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    return int(compiled.metadata.shared)


if __name__ == "__main__":
    print(
        json.dumps(
            {
                kernel.__name__: {f"sm_{a}": shared_bytes(kernel, constants, a) for a in (80, 90)}
                for kernel, constants in KERNELS
            }
        )
    )
