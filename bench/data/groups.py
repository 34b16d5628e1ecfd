"""Groups of speakers that are alike in size and classes, the same for everybody.

- A partition that differs with a library's version cannot be reviewed or cited. Draws are hashes of
  names, sums are of whole numbers: the same corpus gives the same groups on every machine.
- Speakers who talk to each other stay together: what is divided are circles (see `Cast.circles`).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.arrays import IntArray

SCALE = 1_000_000  # shares as whole numbers: products of two and sums of thousands fit 64 bits
MOST_IMPROVED = 2_000  # units: beyond, chance has balanced the groups already
MOST_EXCHANGES = 500


def draw_order(names: Sequence[str], key: str) -> list[int]:
    """The places of the names in an order drawn by `key`, whatever numpy's version."""
    return sorted(
        range(len(names)),
        key=lambda at: hashlib.sha256(f"{key}/{names[at]}".encode()).digest(),
    )


def balanced_groups(
    counts: IntArray, groups: int, order: Sequence[int], *, improve: bool = True
) -> IntArray:
    """For each of U units its group [U], 0 … groups − 1, none of them empty.

    counts: [U, C] whole numbers to be balanced, such as utterances of each class and speakers.
    Units are given in `order` to the group that has least of what they bring; then units are moved
    and exchanged while that makes the sum of squared shares smaller. From many orders that leads to
    the same few divisions; without `improve` they are more, and less balanced.
    Raises ValueError for fewer units than groups.
    """
    if groups > len(counts):
        raise ValueError(f"{len(counts)} units do not fill {groups} groups")
    totals = np.maximum(counts.sum(0), 1)
    # one more column for the units themselves, so that none is without weight
    shares = np.concatenate(
        [counts * SCALE // totals, np.full((len(counts), 1), SCALE // len(counts))], axis=1
    ).astype(np.int64)
    load = np.zeros((groups, shares.shape[1]), dtype=np.int64)
    group = np.zeros(len(counts), dtype=np.int64)
    for unit in order:
        chosen = int(np.argmin((load * shares[unit]).sum(1)))
        group[unit] = chosen
        load[chosen] += shares[unit]
    if improve and len(counts) <= MOST_IMPROVED:
        _improve(shares, group, load)
    return group


def imbalance(counts: IntArray, group: IntArray) -> NDArray[np.float64]:
    """How far each group [groups] is from an equal share of every column of `counts` [U, C]."""
    groups = int(group.max()) + 1
    load = np.zeros((groups, counts.shape[1]))
    np.add.at(load, group, counts / np.maximum(counts.sum(0), 1))
    return np.asarray(((load - 1 / groups) ** 2).sum(1))


def _improve(shares: IntArray, group: IntArray, load: IntArray) -> None:
    """Move or exchange units, the best such change first, until none helps; in place."""
    own = (shares * shares).sum(1)
    between = np.einsum("ic,jc->ij", shares, shares)
    for _ in range(MOST_EXCHANGES):
        there = np.einsum("ic,gc->ig", shares, load)  # [U, groups]
        here = there[np.arange(len(group)), group]
        moves = there - here[:, None] + own[:, None]
        alone = np.bincount(group, minlength=len(load))[group] == 1
        moves[alone] = 0
        moves[np.arange(len(group)), group] = 0
        at = there[:, group]  # [U, U]: unit i against the load of j's group
        swaps = at + at.T - here[:, None] - here[None, :] + own[:, None] + own[None, :]
        swaps -= 2 * between
        swaps[group[:, None] == group[None, :]] = 0
        best_move, best_swap = int(moves.argmin()), int(swaps.argmin())
        if min(moves.flat[best_move], swaps.flat[best_swap]) >= 0:
            return
        if moves.flat[best_move] <= swaps.flat[best_swap]:
            unit, target = divmod(best_move, moves.shape[1])
            changes = [(unit, target)]
        else:
            one, other = divmod(best_swap, swaps.shape[1])
            changes = [(one, int(group[other])), (other, int(group[one]))]
        for unit, target in changes:
            load[group[unit]] -= shares[unit]
            load[target] += shares[unit]
            group[unit] = target
