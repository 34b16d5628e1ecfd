"""Sequences of launches that are recorded once and then replayed as one CUDA graph.

- A recurrence of one launch a step is hundreds of launches from Python, tens of microseconds each;
  a graph needs one or two. A training loop gets the same addresses again from torch's caching
  allocator, so the same graph serves it without copying anything.
- A key holds everything that the launches depend on: kernel, grid, addresses, numbers, constants.
  The same key means the same launches, whatever tensors lie at those addresses by now; what they
  read is on the device and may differ each time.
- A key that never comes again would pay for nothing, so the first sighting just launches (which
  also compiles and loads the kernels: a capture may not), and the second records.
- Inside another capture the launches simply become part of that.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from threading import Lock

import torch

CAPACITY = 64  # sequences remembered: forward and backward of a few layers and shapes

Launches = Callable[[], None]
Recorder = Callable[
    [Launches], Launches
]  # takes launches down without running them; returns replay


class Replays:
    """The sequences seen most recently by key, with the replay of those that were seen twice.

    Safe to use from several threads: autograd runs a backward pass on a thread of its own. The
    launches may allocate nothing.
    """

    def __init__(self, record: Recorder, *, capacity: int = CAPACITY) -> None:
        self._record = record
        self._capacity = capacity
        self._seen: OrderedDict[Hashable, Launches | None] = OrderedDict()
        self._lock = Lock()

    def run(self, key: Hashable, launches: Launches) -> None:
        """Launch, or record and replay, or replay: the effect is the same."""
        with self._lock:
            if key not in self._seen:
                launches()
                self._seen[key] = None
                if len(self._seen) > self._capacity:
                    self._seen.popitem(last=False)
                return
            self._seen.move_to_end(key)
            replay = self._seen[key]
            if replay is None:
                replay = self._seen[key] = self._record(launches)
            replay()


def run(key: Hashable, launches: Launches, device: torch.device) -> None:
    """Launch on the current stream of a device, replaying what was recorded for this key.

    Launches on the CPU (interpreted) and inside a capture are made as they are.
    """
    if device.type != "cuda" or torch.cuda.is_current_stream_capturing():
        launches()
    else:
        _of_device(device.index).run(key, launches)


@cache
def _of_device(index: int) -> Replays:
    return Replays(graph_recorder(index))


def graph_recorder(device: int) -> Recorder:
    """Take launches down as a CUDA graph of this device."""
    # torch captures on no default stream
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def record(launches: Launches) -> Launches:
        # not torch.cuda.graph: it empties the allocator's cache, and other addresses would follow
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):
            # nothing runs while it is captured, so no stream waits for another; other threads may
            # go on using the device
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                launches()
            finally:
                graph.capture_end()
        return graph.replay

    return record
