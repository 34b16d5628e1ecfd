"""Logits of all development and test examples of a stack's members.

- Batches are made of one member's own examples in order of length, in the same number of rows for
  every stack: a member's scores must not depend on its companions, not even in the last bit.
- Where a context is heard to the end of its batch (`context_mask: false`), scores depend on what
  stands together. Batches are then those of IAAN's authors: of one set, twice a training batch's
  examples, in order of their longest utterance.
- Members of different folds have different numbers of examples; the shorter ones end in empty rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.data.batches import EVERYTHING, Hearing, TrainingData, gather
from bench.data.members import Member
from bench.network.dropout import DropoutSource
from bench.network.network import Network


class Evaluation:
    """The development and test sets of M members, cut into batches of `rows` once.

    hearing: what the networks hear of their examples.
    """

    def __init__(
        self,
        members: Sequence[Member],
        data: TrainingData,
        rows: int,
        hearing: Hearing = EVERYTHING,
    ) -> None:
        folds = [data.folds[member.fold] for member in members]
        self._data, self._hearing = data, hearing.whole
        self._dev_sizes = [len(fold.dev) for fold in folds]
        if hearing.endless:
            rows = 2 * members[0].hyper.batch_size
        sides = [(torch.from_numpy(fold.dev), torch.from_numpy(fold.test)) for fold in folds]
        no_row = torch.tensor([-1])
        # [n_dev + n_test]: where each example's logits come out
        self._back = [self._places(*own, rows) for own in sides]
        batches = max(-(-int(torch.cat([back, no_row]).max() + 1) // rows) for back in self._back)
        self._examples = torch.zeros(len(members), batches * rows, dtype=torch.int64)
        self._present = torch.zeros(len(members), batches * rows, dtype=torch.bool)
        for m, (own, back) in enumerate(zip(sides, self._back, strict=True)):
            self._examples[m, back] = torch.cat(own)
            self._present[m, back] = True
        self._rows = rows

    def _places(self, dev: Tensor, test: Tensor, rows: int) -> Tensor:
        """The place of each of the examples of dev, then test, among all batches' rows."""
        if not self._hearing.endless:
            lengths = self._lengths(torch.cat([dev, test])).sum(0)
            return torch.argsort(torch.argsort(lengths, descending=True, stable=True))
        by_side = [
            torch.argsort(torch.argsort(self._lengths(own).amax(0), stable=True))
            for own in (dev, test)
        ]
        of_dev = -(-len(dev) // rows) * rows
        return torch.cat([by_side[0], of_dev + by_side[1]])

    def _lengths(self, examples: Tensor) -> Tensor:
        """Frames heard of each utterance of some examples [n], each by itself: [E, n]."""
        return self._hearing.lengths(self._data.lengths, examples[:, None])[..., 0]

    @torch.no_grad()
    def logits(
        self, network: Network, dropout: DropoutSource | None = None, step: int = 0
    ) -> list[tuple[Tensor, Tensor]]:
        """(dev [n_dev, C], test [n_test, C]) of each member, on the host, in the folds' order.

        dropout: what the network is to hear under dropout draws from, once for each step.
        """
        parts = []
        batches = zip(
            torch.split(self._examples, self._rows, 1),
            torch.split(self._present, self._rows, 1),
            strict=True,
        )
        for number, (examples, present) in enumerate(batches):
            batch = gather(self._data, examples, present, self._hearing)
            masks = None
            if dropout is not None:
                count = self._examples.shape[1] // self._rows
                masks = dropout.draw(step * count + number, batch.packing)
            if masks is not None:
                batch.frames[: len(masks.inputs)] *= masks.inputs
            parts.append(network(batch.frames, batch.packing, masks))
        together = torch.cat(parts, 1).cpu()
        own = [together[m].index_select(0, back) for m, back in enumerate(self._back)]
        return [(rows[:n], rows[n:]) for rows, n in zip(own, self._dev_sizes, strict=True)]
