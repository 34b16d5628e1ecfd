"""Logits of all development and test examples of a stack's members.

- Batches are made of one member's own examples in order of length, in the same number of rows for
  every stack: a member's scores must not depend on its companions, not even in the last bit.
- Members of different folds have different numbers of examples; the shorter ones end in empty rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.data.batches import EVERYTHING, Hearing, TrainingData, gather
from bench.data.members import Member
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
        self._data = data
        self._dev_sizes = [len(fold.dev) for fold in folds]
        sizes = [len(fold.dev) + len(fold.test) for fold in folds]
        batches = -(-max(sizes) // rows)
        self._examples = torch.zeros(len(members), batches * rows, dtype=torch.int64)
        self._present = torch.zeros(len(members), batches * rows, dtype=torch.bool)
        self._back: list[Tensor] = []  # [n_dev + n_test]: where each example's logits come out
        for m, fold in enumerate(folds):
            own = torch.cat([torch.from_numpy(fold.dev), torch.from_numpy(fold.test)])
            lengths = data.lengths[: hearing.utterances, own].sum(0)
            by_length = torch.argsort(lengths, descending=True, stable=True)
            self._examples[m, : len(own)] = own[by_length]
            self._present[m, : len(own)] = True
            self._back.append(torch.argsort(by_length))
        self._rows, self._hearing = rows, hearing

    @torch.no_grad()
    def logits(self, network: Network) -> list[tuple[Tensor, Tensor]]:
        """(dev [n_dev, C], test [n_test, C]) of each member, on the host, in the folds' order."""
        parts = []
        batches = zip(
            torch.split(self._examples, self._rows, 1),
            torch.split(self._present, self._rows, 1),
            strict=True,
        )
        for examples, present in batches:
            batch = gather(self._data, examples, present, self._hearing)
            parts.append(network(batch.frames, batch.packing))
        together = torch.cat(parts, 1).cpu()
        own = [together[m].index_select(0, back) for m, back in enumerate(self._back)]
        return [(rows[:n], rows[n:]) for rows, n in zip(own, self._dev_sizes, strict=True)]
