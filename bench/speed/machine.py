"""What a measurement needs of the machine itself: its name, its clock, its precision, its limits.

- Nothing here knows of recurrent layers.
- A machine's limits are measured, not looked up: what one large product and one large copy reach
  here and now is what a layer can be held against.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from activations.kernels import precision as precisions
from activations.kernels.cpu.limits import processor_name
from activations.kernels.precision import precision, precision_called
from activations.wording import counted

PRODUCT = {"cpu": 1024, "cuda": 4096}  # rows and columns
# bytes of a tensor that no cache holds: the largest last-level caches of servers have 512 MiB for
# two of them
COPY = {"cpu": 256 << 20, "cuda": 1 << 30}

WARM_UP = 3  # passes before a capture: kernels are compiled and cuBLAS takes its workspace


def machine(device: torch.device) -> str:
    """The device's name, torch's number of threads (CPU) and torch's version."""
    if device.type == "cuda":
        precision = torch.get_float32_matmul_precision()
        name = f"{torch.cuda.get_device_name(device)}, float32 products {precision!r}"
    else:
        name = f"{processor_name()}, {counted(torch.get_num_threads(), 'thread')}"
    return f"{name}, torch {torch.__version__}"


def seconds_of(run: Callable[[], object], times: int, device: torch.device) -> float:
    """Seconds of one run, from `times` in a row; on a GPU between two device events."""
    if device.type == "cuda":
        return _device_seconds(run, times)
    return _wall_seconds(run, times)


@contextmanager
def at_precision(name: str | None) -> Iterator[None]:
    """Multiply at this precision (None: as torch is set) within, and so does cuDNN.

    cuDNN by itself uses TF32 whatever torch is set to.
    """
    with precisions.at_precision(precision_called(name or precision())):
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = precision() != "ieee"
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = before


def captured(run: Callable[[], Any]) -> Callable[[], object]:
    """What replays a run's launches as one CUDA graph, after passes that compile and allocate.

    It keeps the run: the graph reads the tensors that the run holds, at their addresses.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = run()

    kept = run, results

    def replay() -> object:
        graph.replay()
        return kept[1]

    return replay


def big_product(device: torch.device) -> tuple[Callable[[], object], float]:
    """A product of two square matrices at torch's precision, and its operations.

    On a GPU torch never multiplies float32 in bf16, so that there the matrices are bfloat16.
    """
    size = PRODUCT[device.type]
    left, right = torch.randn(2, size, size, device=device)
    if device.type == "cuda" and precision() == "bf16":
        left, right = left.bfloat16(), right.bfloat16()
    return lambda: left @ right, 2.0 * size**3


def big_copy(device: torch.device) -> tuple[Callable[[], object], float]:
    """A copy of a tensor into another, and the bytes it moves: each is read and written."""
    size = COPY[device.type]
    source, target = torch.ones(2, size // 4, device=device)
    return lambda: target.copy_(source), 2.0 * size


def _wall_seconds(run: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def _device_seconds(run: Callable[[], object], times: int) -> float:
    start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    start.record()
    for _ in range(times):
        run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / times
