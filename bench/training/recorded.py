"""A training step that a GPU repeats from a recording, whatever the lengths in a batch are.

- A step at H = 512 is over a thousand launches, and each costs Python more time than it costs the
  GPU. Recorded once as a CUDA graph, they run without Python.
- A recording has one shape. Batches are therefore given room for a few numbers of frames only
  (`rounded_up`), and all that a step gets from the host is which examples it is about.
- Where there are no CUDA graphs (Triton's interpreter) the same step runs unrecorded.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from bench.training.out_of_memory import ran_out, release


class RecordedStep:
    """Runs `step(examples, room, steps)`, the second time for a room from a recording.

    step takes examples [M, B] (int64, always the same tensor on the device), the frames that each
    group has room for and the time steps of the batch. It must change nothing but tensors that live
    outside of it, and must ask nothing of the device. lengths [E, ·]: frames of the utterances that
    are heard, on the host. records: whether it records at all.
    """

    def __init__(
        self,
        step: Callable[[Tensor, int, int], None],
        lengths: Callable[[Tensor], Tensor],
        shape: tuple[int, int],
        device: torch.device,
    ) -> None:
        self._step, self._lengths = step, lengths
        self._examples = torch.zeros(shape, dtype=torch.int64, device=device)
        self.records = device.type == "cuda"
        self._met: set[tuple[int, int]] = set()
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    def __call__(self, examples: Tensor) -> None:
        """Take the step for examples [M, B] (int64 on the host)."""
        lengths = self._lengths(examples)
        size = rounded_up(int(lengths.sum(-1).max())), rounded_up(int(lengths.max()))
        on_cuda = self._examples.is_cuda  # a copy from pinned memory does not wait
        self._examples.copy_(examples.pin_memory() if on_cuda else examples, non_blocking=on_cuda)
        try:
            self._take(size)
        except (RuntimeError, MemoryError) as error:
            if not (self._graphs and ran_out(error)):
                raise
        else:
            return
        # recordings of other sizes hold on to their memory: once without them. Nothing has changed
        # yet: parameters move at the end of a step, and that needs no new memory
        self._graphs.clear()
        release(self._examples.device)
        self._take(size)

    def _take(self, size: tuple[int, int]) -> None:
        if self.records and size in self._met and size not in self._graphs:
            self._record(size)
        if size in self._graphs:
            self._graphs[size].replay()
        else:  # compiles what the recording will launch
            self._met.add(size)
            self._step(self._examples, *size)

    def _record(self, size: tuple[int, int]) -> None:
        graph = torch.cuda.CUDAGraph()
        # one step runs at a time and leaves nothing behind: all recordings use the same memory
        pool = next((other.pool() for other in self._graphs.values()), None)
        try:
            with torch.cuda.graph(graph, pool=pool):
                self._step(self._examples, *size)
        except RuntimeError as error:
            if ran_out(error):
                raise
            self.records = False
            warnings.warn(
                f"the training step could not be recorded as a CUDA graph and runs launch by "
                f"launch, which is slower: {error}",
                stacklevel=2,
            )
        else:
            self._graphs[size] = graph


def rounded_up(n: int) -> int:
    """The next multiple of an eighth of the largest power of two in n: few sizes, ≤ 1/8 more.

    At least 1: a recording needs a shape even for batches without a frame.
    """
    unit = 1 << max(0, n.bit_length() - 4)
    return max(1, -(-n // unit) * unit)
