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

WALK = {"BLOCK_T": 32, "BLOCK_A": 16, "BLOCK_W": 128, "HAS_OFFER": True}
DRAW = {"LOW": 0xFFFFFFF0, "HIGH": 1, "BLOCK": dropout_gpu.BLOCKS}
ADAM = {"BETA1": 0.9, "KEEP1": 0.1, "BETA2": 0.999, "KEEP2": 0.001, "EPSILON": 1e-8}
ADAM |= {"BLOCK": optimiser_gpu.BLOCK}
NORM = {"EPSILON": 1e-5, "BLOCK_B": 16, "BLOCK_D": 64}
LOSS = {"BLOCK_B": 32, "BLOCK_C": 4}
KERNELS: list[tuple[Any, dict[str, Any]]] = [
    (attention_gpu.attention_forward, WALK),
    (attention_gpu.attention_backward, WALK),
    (attention_gpu.sum_of_rows, {"BLOCK_B": 32, "BLOCK_A": 16}),
    (dropout_gpu.fill_frames, DRAW),
    (dropout_gpu.fill_dense, DRAW),
    (optimiser_gpu.sum_squares, {"BLOCK": optimiser_gpu.BLOCK}),
    (optimiser_gpu.settle, {"LOG_BETA1": -0.1, "LOG_BETA2": -0.001, "BLOCK": optimiser_gpu.BLOCK}),
    (optimiser_gpu.update, ADAM),
    (loss_gpu.cross_entropy_forward, LOSS),
    (loss_gpu.cross_entropy_backward, LOSS),
    (norm_gpu.norm_forward, NORM),
    (norm_gpu.norm_backward, NORM),
]
INTEGERS = {"B", "T", "A", "W", "C", "D", "M", "K", "features", "width", "blocks", "size"}
TYPES = {
    "*i64": {"starts", "lengths", "order", "step", "steps", "table", "labels"},
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
    source = ASTSource(
        fn=kernel,
        signature={name: kind(kernel, name, constants) for name in kernel.arg_names},
        constexprs=constants,
    )
    warps = 8 if constants.get("BLOCK_W", 0) > 64 else 4  # as gpu/attention.py chooses
    compiled = triton.compile(
        source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": warps}
    )
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
