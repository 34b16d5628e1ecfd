"""Running out of memory: how it shows, and giving back what is kept for later.

- The same trouble comes as four kinds of exceptions: from torch's CUDA allocator, from its CPU
  allocator, from Python and from the system. A recording that is broken off hides it behind
  another one.
"""

import errno
import gc
from collections.abc import Iterator

import torch

from activations.kernels.cpu import memory

_REFUSALS = ("out of memory", "allocate memory", "_ALLOC_FAILED", "bad_alloc")


def ran_out(error: BaseException) -> bool:
    """Whether an error means that memory ran out, of the GPU or of the machine."""
    return any(_ran_out(each) for each in _causes(error))


def release(device: torch.device) -> None:
    """Free cached blocks, so that other sizes can be allocated."""
    gc.collect()
    memory.release()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _ran_out(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _REFUSALS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it was raised after."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
