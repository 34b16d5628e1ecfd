"""Folds for people to look at: who and how much is on which side, and what deserves a second look.

- A split that nobody can review is a split that nobody has reviewed: counts by class, speakers by
  name, and every utterance with its side in a table that can be committed beside a paper.
"""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activations.wording import counted
from bench.data.examples import Examples
from bench.data.folds import Fold, shared_speakers
from bench.data.protocol import Protocol
from bench.escapes import csv_cell

SIDES = ("train", "dev", "test")
FEW = 10  # utterances of a test or dev set: fewer, and one of them moves UAR by 10 points or more


def review(fold: Fold, examples: Examples) -> dict[str, Any]:
    """`{name, repeat, train, dev, test}`, each side `{examples, classes, speakers}`.

    classes: examples by class; speakers: by name, how many examples.
    """
    return {"name": fold.name, "repeat": fold.repeat} | {
        side: {
            "examples": len(rows),
            "classes": class_counts(examples.labels[rows], examples.classes),
            "speakers": name_counts(examples.speaker[rows]),
        }
        for side, rows in zip(SIDES, (fold.train, fold.dev, fold.test), strict=True)
    }


def fold_notes(folds: Iterable[Fold], examples: Examples, protocol: Protocol) -> list[str]:
    """What of the folds is right and still worth knowing, a sentence for each kind.

    Folds whose test or dev set lacks a class or has few utterances, speakers that a corpus's own
    split shares between its sides, examples on no side of any fold.
    """
    lacking: dict[str, list[str]] = {"test": [], "dev": []}
    few: dict[str, list[str]] = {"test": [], "dev": []}
    notes, number = [], 0
    on_a_side = np.zeros(len(examples), dtype=np.bool_)
    for fold in folds:
        number += 1
        for rows in (fold.train, fold.dev, fold.test):
            on_a_side[rows] = True
        for side, rows in (("test", fold.test), ("dev", fold.dev)):
            if side == "dev" and protocol.dev == "none":
                continue
            counts = class_counts(examples.labels[rows], examples.classes)
            absent = [name for name, count in counts.items() if count == 0]
            if absent:
                lacking[side].append(f"{fold.name} has no {' and no '.join(absent)}")
            if len(rows) < FEW:
                few[side].append(f"{fold.name} has {len(rows)}")
        if protocol.test_unit == "split":
            shared = shared_speakers(fold, examples)
            if shared:
                both = counted(len(shared), "speaker is", "speakers are")
                notes.append(
                    f"{both} both in the training and in the test part of "
                    f"the corpus's own split ({_some(shared)}): scores do not hold for new speakers"
                )
    for side in ("test", "dev"):
        if lacking[side]:
            notes.append(
                f"{len(lacking[side]):,} of {number:,} {side} sets lack a class "
                f"({_some(lacking[side])}): their UAR is over the classes that are there"
            )
        if few[side]:
            remedy = (
                "protocol.test_unit: group tests several speakers at once"
                if side == "test"
                else "protocol.dev: speakers or utterances takes more"
            )
            notes.append(
                f"{len(few[side]):,} of {number:,} {side} sets have fewer than {FEW} utterances "
                f"({_some(few[side])}); {remedy}"
            )
    if number and not on_a_side.all():
        left = counted(int((~on_a_side).sum()), "utterance is", "utterances are")
        notes.append(f"{left} on no side of any fold")
    return notes


def as_csv(folds: Sequence[Fold], examples: Examples) -> str:
    """A table of every example: id, speaker, session, label, and its side in each fold."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "speaker", "session", "label", *(csv_cell(fold.name) for fold in folds)])
    sides = np.zeros((len(examples), len(folds)), dtype=np.int8)
    for column, fold in enumerate(folds):
        for number, rows in enumerate((fold.train, fold.dev, fold.test), start=1):
            sides[rows, column] = number
    words = ("", *SIDES)
    for row, (name, speaker, session, label) in enumerate(
        zip(
            examples.ids.tolist(),
            examples.speaker.tolist(),
            examples.session.tolist(),
            examples.labels.tolist(),
            strict=True,
        )
    ):
        writer.writerow(
            [
                *(csv_cell(text) for text in (name, speaker, session, examples.classes[label])),
                *(words[n] for n in sides[row]),
            ]
        )
    return out.getvalue()


def class_counts(labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, int]:
    """How many of the labels [n] are of each class, none included."""
    counts = np.bincount(labels, minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def name_counts(names: NDArray[np.str_]) -> dict[str, int]:
    """How often each of the names [n] occurs, sorted."""
    values, counts = np.unique(names, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _some(names: Sequence[str]) -> str:
    """The first three, and how many more."""
    more = f", and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
