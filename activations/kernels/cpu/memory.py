"""Large CPU tensors whose memory is used again.

- The allocator gives blocks of tens of megabytes back to the system as soon as they are free, and a
  fresh block costs a page fault for each 4 KiB when first written. In a training step of a stack
  that takes longer than the arithmetic.
- So large tensors lie in blocks that are kept. A block is free again when nobody refers to it but
  the list here; there is nothing to give back and nothing to forget.
- Blocks ask for huge pages: 512 times fewer faults and address translations.
"""

import mmap
import sys
import threading
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor

from activations.kernels.cpu.limits import memory_limit

SMALL = 1 << 20  # bytes; below it the allocator itself keeps what is freed


# Bytes of free blocks that are kept beyond those in use: an eighth of what there may be. Stacks of
# several sizes that take turns would otherwise push each other's blocks out.
SPARE = max((memory_limit() or 0) // 8, 1 << 28)

_blocks: list[mmap.mmap] = []
_lock = threading.Lock()


def empty(*shape: int) -> Tensor:
    """An uninitialised float32 tensor on the CPU, aligned to a page where it is large.

    It may be passed on and kept like any other, but not resized.
    """
    count = 1
    for size in shape:
        count *= size
    if count * 4 < SMALL:
        return torch.empty(shape)
    with _lock:
        block = _take(count * 4)
        flat = torch.frombuffer(block, dtype=torch.float32, count=count)
    # a view of it could not be edited in place where it is a function's result
    whole: Tensor = torch.empty(0).set_(flat.untyped_storage(), 0, shape, _strides(shape))
    return whole


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(accumulate((1, *shape[:0:-1]), mul))[::-1]


def plain(tensor: Tensor) -> Tensor:
    """The tensor as C reads it: in one piece, and with its signs (a view may only stand for -x)."""
    return tensor.resolve_neg().contiguous()


def release() -> None:
    """Give the free blocks back to the system; those in use go when their tensors do."""
    with _lock:
        _blocks.clear()


def _take(size: int) -> mmap.mmap:
    """A free block of that many bytes or somewhat more, or a new one."""
    free = [block for block in _blocks if sys.getrefcount(block) == _ALONE]
    fitting = [block for block in free if size <= len(block) <= 2 * size]
    if fitting:
        return min(fitting, key=len)
    in_use = sum(map(len, _blocks)) - sum(map(len, free))
    free.sort(key=len)
    while free and sum(map(len, free)) > SPARE + in_use:
        _blocks.remove(free.pop(0))
    block = mmap.mmap(-1, _rounded(size))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    _blocks.append(block)
    return block


def _rounded(size: int) -> int:
    """Size rounded up by less than a quarter: batches of similar size take the same block."""
    step = max(1 << (size.bit_length() - 3), mmap.PAGESIZE)
    return -(-size // step) * step


def _references() -> int:
    """What getrefcount says in `_take`'s comprehension of a block that only a list refers to."""
    blocks = [mmap.mmap(-1, mmap.PAGESIZE)]
    return next(iter([sys.getrefcount(block) for block in blocks]))


_ALONE = _references()
