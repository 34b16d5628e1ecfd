"""Packed frames: the one layout of sequences that makes cost follow real frames and not padding.

- Rows of a batch have their own lengths, zero included; IEMOCAP's mean is 91 frames and its
  longest 500, so a padded batch would be four fifths padding. Here a padded frame is not stored,
  so nothing can project it or leak from it.
- Frames lie one group after another; inside a group step by step; inside a step the rows that
  still run, longest first. For one group this is exactly the order of
  `torch.nn.utils.rnn.PackedSequence`, for equal lengths it is exactly `[T, B, ·]`: neither needs a
  copy.
- Everything is a plain index tensor, so gradients flow through `index_select`; what a host loop
  needs (group bounds) is kept as Python ints, so that nothing waits for a GPU.
- A CUDA graph runs again only with the same shapes, so batches of different lengths can be given
  the same room (`with_room`): each group's real frames come first in it, the rest is spare.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Packing:
    """Where each frame of G groups × B rows lies among the N packed frames.

    lengths [G, B], int64.
    order [G, B]: a group's rows by decreasing length, ties as they were.
    batch_sizes [G, T]: rows still running at each step; T is the longest length of all groups.
    starts [G, T + 1]: the first frame of each step, counted from the very first frame; the last
    one is the end of the group's real frames.
    bounds: G + 1 host ints; group g owns the frames bounds[g]:bounds[g + 1].
    N: frames in all, spare ones included.
    """

    lengths: Tensor
    order: Tensor
    batch_sizes: Tensor
    starts: Tensor
    bounds: tuple[int, ...]
    N: int
    T: int
    in_order: bool  # every row has length T: the frames of a group are [T, B, ·] as they are
    has_empty: bool  # some row has no frame at all
    has_spare: bool = False  # frames behind a group's real ones may be anything

    @classmethod
    def from_lengths(cls, lengths: Tensor) -> "Packing":
        """Lay out rows of the given lengths [G, B] (integers, zeros allowed).

        Raises ValueError for another shape, a floating type or a negative length.
        """
        if lengths.dim() != 2 or lengths.shape[0] == 0 or lengths.is_floating_point():
            got = f"{lengths.dtype} {list(lengths.shape)}"
            raise ValueError(f"lengths must be integers of shape [G, B], got {got}")
        lengths = lengths.to(torch.int64)
        B = lengths.shape[1]
        shortest, longest = (int(lengths.min()), int(lengths.max())) if B else (0, 0)
        if shortest < 0:
            raise ValueError(f"lengths must not be negative, got {shortest}")
        order, batch_sizes = _sorted_rows(lengths, longest)
        return cls._from_batch_sizes(
            lengths, order, batch_sizes, shortest == longest, shortest == 0
        )

    @classmethod
    def full(
        cls, groups: int, steps: int, rows: int, *, device: torch.device | str | None = None
    ) -> "Packing":
        """Lay out G groups of B rows that all have T frames: group by group `[T, B, ·]`."""
        G, T, B = groups, steps, rows
        return cls(
            lengths=torch.full((G, B), T, device=device),
            order=torch.arange(B, device=device).repeat(G, 1),
            batch_sizes=torch.full((G, T), B, device=device),
            starts=torch.arange(G, device=device)[:, None] * (T * B)
            + torch.arange(T + 1, device=device) * B,
            bounds=tuple(range(0, G * T * B + 1, T * B)) if T * B else (0,) * (G + 1),
            N=G * T * B,
            T=T,
            in_order=True,
            has_empty=T == 0,
        )

    @classmethod
    def with_room(cls, lengths: Tensor, room: int, steps: int) -> "Packing":
        """Lay out rows of the given lengths [G, B] (int64) with room for `room` frames a group.

        T is `steps`; a group's frames behind its real ones are spare: what they hold is undefined,
        and only a kernel that visits real frames may sum over them. Asks nothing of the device, so
        it is not checked that a group's lengths sum to at most `room` and reach at most `steps`.
        """
        G = len(lengths)
        order, batch_sizes = _sorted_rows(lengths, steps)
        first = torch.arange(0, G * room, room, device=lengths.device)[:, None]
        return cls(
            lengths=lengths,
            order=order,
            batch_sizes=batch_sizes,
            starts=first + torch.cat([lengths.new_zeros(G, 1), batch_sizes.cumsum(1)], 1),
            bounds=tuple(range(0, (G + 1) * room, room)),
            N=G * room,
            T=steps,
            in_order=False,
            has_empty=True,
            has_spare=True,
        )

    @classmethod
    def from_batch_sizes(cls, batch_sizes: Tensor, frames: int | None = None) -> "Packing":
        """Lay out one group of sorted rows, from a PackedSequence's batch_sizes [T].

        frames: how many its data has. Raises ValueError where sizes are no such thing, or those of
        other data: a kernel trusts them.
        """
        sizes = batch_sizes.tolist() if batch_sizes.dim() == 1 else []
        whole = not batch_sizes.is_floating_point() and batch_sizes.dtype != torch.bool
        falling = all(before >= after for before, after in pairwise(sizes))
        if not sizes or not whole or not falling or sizes[-1] < 1 or sizes[0] > sum(sizes):
            shown = f"{str(sizes[:8])[:-1]}{', …' if len(sizes) > 8 else ''}]"
            raise ValueError(
                "a PackedSequence's batch_sizes must be whole numbers of at least 1 that never "
                f"increase, got {batch_sizes.dtype} {list(batch_sizes.shape)} {shown}; make it "
                "with torch.nn.utils.rnn.pack_padded_sequence"
            )
        if frames is not None and sum(sizes) != frames:
            raise ValueError(
                f"a PackedSequence whose batch_sizes are of {sum(sizes)} frames holds {frames}; "
                "make it with torch.nn.utils.rnn.pack_padded_sequence"
            )
        B = sizes[0]
        with plain_tensors():
            batch_sizes = torch.tensor(sizes, device="cpu")
            rows = torch.arange(B, device="cpu")
            lengths = (batch_sizes[None, :] > rows[:, None]).sum(1)[None]
            return cls._from_batch_sizes(
                lengths, rows[None], batch_sizes[None], sizes[-1] == B, False
            )

    @classmethod
    def _from_batch_sizes(
        cls, lengths: Tensor, order: Tensor, batch_sizes: Tensor, in_order: bool, has_empty: bool
    ) -> "Packing":
        G, T = batch_sizes.shape
        sizes = batch_sizes.sum(1)
        ends = sizes.cumsum(0)
        starts = torch.cat([lengths.new_zeros(G, 1), batch_sizes.cumsum(1)], 1)
        bounds = (0, *(int(end) for end in ends.tolist()))
        return cls(
            lengths=lengths,
            order=order,
            batch_sizes=batch_sizes,
            starts=starts + (ends - sizes)[:, None],
            bounds=bounds,
            N=bounds[-1],
            T=T,
            in_order=in_order,
            has_empty=has_empty,
        )

    @property
    def groups(self) -> int:
        """G."""
        return self.lengths.shape[0]

    @property
    def rows(self) -> int:
        """B."""
        return self.lengths.shape[1]

    @property
    def room(self) -> int:
        """Frames of the largest group, spare ones included."""
        return max(end - start for start, end in pairwise(self.bounds))

    def to(self, device: torch.device | str) -> "Packing":
        """The same layout with its tensors on another device."""
        device = torch.device(device)
        if self.lengths.device == device:
            return self
        return replace(
            self,
            **{
                name: getattr(self, name).to(device, non_blocking=True)
                for name in ("lengths", "order", "batch_sizes", "starts")
            },
        )

    def repeat(self, times: int) -> "Packing":
        """The same groups again and again: group g of copy c is group c * G + g."""
        bounds = (c * self.N + end for c in range(times) for end in self.bounds[1:])
        with plain_tensors():
            first = torch.arange(times, device=self.starts.device)[:, None, None] * self.N
            return replace(
                self,
                lengths=self.lengths.repeat(times, 1),
                order=self.order.repeat(times, 1),
                batch_sizes=self.batch_sizes.repeat(times, 1),
                starts=(self.starts + first).flatten(0, 1),
                bounds=(0, *bounds),
                N=times * self.N,
            )

    @cached_property
    def by_size(self) -> Tensor:
        """[G]: the groups, that with most frames first; on the host."""
        frames = [end - start for start, end in pairwise(self.bounds)]
        with plain_tensors():
            by_size = sorted(range(self.groups), key=lambda g: -frames[g])
            return torch.tensor(by_size, device="cpu")

    @cached_property
    def ranks(self) -> Tensor:
        """[G, B]: the place of each row in its group's order."""
        return self.order.argsort(1)

    @cached_property
    def _steps(self) -> Tensor:
        """[N]: g * T + t of each frame."""
        steps = torch.arange(self.batch_sizes.numel(), device=self.lengths.device)
        sizes = self.batch_sizes
        if self.has_spare:  # spare frames count as the group's last step's
            ends = self.starts[:, 0] + self.room
            sizes = torch.cat([sizes[:, :-1], (ends - self.starts[:, -2])[:, None]], 1)
        return steps.repeat_interleave(sizes.flatten(), output_size=self.N)

    @cached_property
    def time_of_frame(self) -> Tensor:
        """[N]: the time step t of each frame."""
        return self._steps % max(self.T, 1)

    @cached_property
    def row_of_frame(self) -> Tensor:
        """[N]: the row of each frame as g * B + b, b being its place in the batch as given.

        A spare frame has some row of its group.
        """
        frames = torch.arange(self.N, device=self.lengths.device)
        ranks = frames - self.starts[:, :-1].flatten()[self._steps]
        if self.has_spare:
            ranks = ranks.clamp(max=self.rows - 1)
        groups = self._steps // max(self.T, 1)
        return groups * self.rows + self.order.flatten()[groups * self.rows + ranks]

    @cached_property
    def first_frames(self) -> Tensor:
        """[G, B]: index of each row's first frame, -1 for a row without frames."""
        return (self.starts[:, :1] + self.ranks).where(self.lengths > 0, -1)

    @cached_property
    def last_frames(self) -> Tensor:
        """[G, B]: index of each row's last frame, -1 for a row without frames."""
        last_step = (self.lengths - 1).clamp(min=0)
        return (self.starts.gather(1, last_step) + self.ranks).where(self.lengths > 0, -1)

    @cached_property
    def _padded_index(self) -> Tensor:
        """[N]: where each frame lies in a flattened [G, T, B]."""
        if self.has_spare:
            raise ValueError("a packing with room has spare frames, which have no padded place")
        groups = self._steps // max(self.T, 1)
        return self._steps * self.rows + self.row_of_frame - groups * self.rows

    def pack(self, padded: Tensor) -> Tensor:
        """Take the real frames out of padded [G, T, B, D]; returns [N, D].

        Raises ValueError where the leading axes are not this packing's [G, T, B].
        """
        if tuple(padded.shape[:3]) != (self.groups, self.T, self.rows) or padded.dim() != 4:
            raise ValueError(
                f"expected padded frames [G={self.groups}, T={self.T}, B={self.rows}, D], "
                f"got {list(padded.shape)}"
            )
        flat = padded.reshape(self.groups * self.T * self.rows, padded.shape[3])
        return flat if self.in_order else flat.index_select(0, self._padded_index)

    def unpack(self, frames: Tensor) -> Tensor:
        """Put frames [N, D] back into [G, T, B, D], zeros at padding.

        Raises ValueError where there are not N frames.
        """
        if frames.dim() != 2 or frames.shape[0] != self.N:
            raise ValueError(f"expected frames [N={self.N}, D], got {list(frames.shape)}")
        shape = (self.groups, self.T, self.rows, frames.shape[1])
        if self.in_order:
            return frames.reshape(shape)
        flat = frames.new_zeros(self.groups * self.T * self.rows, frames.shape[1])
        return flat.index_copy(0, self._padded_index, frames).reshape(shape)


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Make tensors that outlive a transform of torch.func, and that inference mode does not mark.

    Within a transform whatever is made belongs to it, and is dead after it.
    """
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    with torch.inference_mode(False), temporarily_clear_interpreter_stack():
        yield


def _sorted_rows(lengths: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Rows [G, B] by decreasing length, and how many run at each of `steps` time steps [G, T]."""
    order = lengths.sort(dim=1, descending=True, stable=True).indices
    ending = lengths.new_zeros(len(lengths), steps + 1)  # [g, t]: rows whose length is t
    ending.scatter_add_(1, lengths, torch.ones_like(lengths))
    return order, lengths.shape[1] - ending.cumsum(1)[:, :steps]
