"""Compiling the kernels of a measurement before it, in as many processes as there is room for.

- A kernel is compiled once for each activation, size and precision, by one thread and for seconds:
  the catalogue in one process takes an hour, during which a GPU does nothing.
- Each process runs what the measurement will run, once, so that the compiler sees the same
  constants; the compiled code reaches the measurement through the kernels' cache on disk.
- A kernel that does not compile is reported and does not stop the others.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import torch

from activations import registry
from activations.errors import on_one_line
from bench.speed.layers.contestants import enter
from bench.speed.layers.shape import layer_shape
from bench.speed.machine import at_precision

WarmUp = tuple[str, int, str]  # activation, H, precision of the products


@dataclass(frozen=True)
class Warmed:
    """One layer that ran once: the seconds it took with compiling, or the error it ended in."""

    activation: str
    hidden: int
    precision: str
    seconds: float
    error: str = ""


def warm(
    jobs: Sequence[WarmUp], *, device: str = "cuda", processes: int | None = None
) -> Iterator[Warmed]:
    """Run a layer's forward and backward pass for each job, yielding it when it is done.

    processes: eight at most by default, and half of the machine's cores, because each compiler
    starts others.
    """
    processes = processes or min(8, max(1, (os.cpu_count() or 2) // 2))
    # a forked process could not use CUDA
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        waiting = {pool.submit(run_once, job, device): job for job in jobs}
        for future in as_completed(waiting):
            try:
                yield future.result()
            except Exception as error:  # the process itself died
                yield Warmed(*waiting[future], 0.0, f"{type(error).__name__}: {error}")


def run_once(job: WarmUp, device: str) -> Warmed:
    """Run one layer once, in the process that this is called in."""
    name, H, precision = job
    started = time.perf_counter()
    error = ""
    try:
        shape = layer_shape(device, H)
        batches = [torch.full((shape.R, shape.B), shape.T)]
        with at_precision(precision):
            entry = enter("gateswap", registry.get(name), shape, batches, torch.device(device))
            if entry is not None:
                entry.run()
            if device == "cuda":
                torch.cuda.synchronize()
    except Exception as problem:  # whatever a compiler raises is reported, for all kernels
        error = on_one_line(problem)
    return Warmed(name, H, precision, time.perf_counter() - started, error)
