"""A part of the training examples: what a network learns from less speech.

- Parts are nested: of one fold and seed, a larger part contains every smaller one, so that more
  speech is never other speech.
- A part has of each class its share, at least one example. Dev and test sets stay as they are.
- The seed draws it, the same for all variants, so that differences stay paired and the luck of the
  draw is averaged with the seeds'. The order of two examples is the same in every fold: two folds'
  parts overlap as much as the folds do.
"""

import numpy as np

from bench.arrays import IntArray
from bench.data.examples import Examples
from bench.data.folds import Fold
from bench.data.groups import draw_order
from bench.data.members import Member


def training_part(member: Member, examples: Examples, fold: Fold) -> IntArray:
    """The sorted indices of the examples that a member trains on: its `train_fraction` of a fold's.

    Drawn by hashes of the examples' ids, and so the same on every machine.
    """
    share = member.hyper.train_fraction
    if share == 1.0:
        return fold.train
    order = np.array(draw_order(examples.ids[fold.train].tolist(), f"train/{member.seed}"))
    drawn = fold.train[order]
    labels = examples.labels[drawn]
    kept = []
    for label in np.unique(labels):
        of_class = drawn[labels == label]
        kept.append(of_class[: max(1, round(share * len(of_class)))])
    return np.sort(np.concatenate(kept))
