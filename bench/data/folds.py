"""Folds: train, dev and test sets of one cross-validation split.

- Folds are checked, not believed: no speaker and no dialogue is on both sides, and whatever would
  break that is left out or refused. Results with the same speaker on both sides are the commonest
  mistake of the field.
- The dev set never holds a test speaker, so that choosing a checkpoint on it is honest.
"""

import hashlib
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from bench.data.examples import Examples
from bench.data.protocol import Protocol


@dataclass(frozen=True, eq=False)
class Fold:
    """One split of the examples.

    name: the test unit. train, dev, test: sorted int64 indices into `Examples`, disjoint.
    Folding by speaker, examples of others that share a dialogue with the test speaker are on no
    side.
    """

    name: str
    train: NDArray[np.int64]
    dev: NDArray[np.int64]
    test: NDArray[np.int64]


def make_folds(examples: Examples, protocol: Protocol) -> tuple[Fold, ...]:
    """One fold for each session (or speaker) of the examples, in sorted order.

    Folding by speaker, training and dev sets leave out every dialogue in which the test speaker
    takes part, and training leaves out those of the dev speaker, so that it is as clean as folding
    by session.
    Raises InputError when a clean fold cannot be made: fewer units than sides, a speaker in two
    sessions, an empty side, a class that no training example has.
    """
    units = examples.session if protocol.test_unit == "session" else examples.speaker
    names = [str(name) for name in np.unique(units)]
    needed = 3 if protocol.dev == "session" else 2
    if len(names) < needed:
        raise InputError(
            f"protocol.test_unit: leaving one {protocol.test_unit} out needs at least {needed}; "
            f"the corpus has {len(names)} ({', '.join(names)}); try test_unit: speaker or "
            "dev: dialogues"
        )
    folds = tuple(_fold(name, names, units, examples, protocol) for name in names)
    for fold in folds:
        check_fold(fold, examples, protocol)
    return folds


def check_fold(fold: Fold, examples: Examples, protocol: Protocol) -> None:
    """Raise InputError unless the fold's sides are filled and keep speakers and dialogues apart.

    No dialogue is on two sides; no speaker of the test side is on another one, nor heard there as
    context; with `dev: session` neither is a speaker of the dev side. Every class has a training
    example.
    """
    sides = {"train": fold.train, "dev": fold.dev, "test": fold.test}
    for side, rows in sides.items():
        if not len(rows):
            raise InputError(
                f"fold {fold.name}: the {side} set is empty; the corpus has too few dialogues "
                f"apart from the test set's for protocol.test_unit: {protocol.test_unit} with "
                f"protocol.dev: {protocol.dev}"
            )
    for first, second in combinations(sides, 2):
        shared = _first_shared(examples.dialog, sides[first], sides[second])
        if shared:
            raise InputError(
                f"fold {fold.name}: dialogue {shared} is in the {first} and in the {second} set; "
                "a dialogue must lie within one session, or set protocol.test_unit: speaker"
            )
        if (first, second) == ("train", "dev") and protocol.dev == "dialogues":
            continue
        shared = _first_shared(examples.speaker, sides[first], sides[second])
        if shared:
            raise InputError(
                f"fold {fold.name}: speaker {shared} is in the {first} and in the {second} set; "
                "give speakers of different sessions different names, or set protocol.test_unit: "
                "speaker"
            )
        speakers = set(examples.speaker[sides[second]].tolist())
        for dialog in np.unique(examples.dialog[sides[first]]).tolist():
            heard = sorted(speakers & examples.parties.get(dialog, frozenset()))
            if heard:
                raise InputError(
                    f"fold {fold.name}: speaker {heard[0]} of the {second} set is heard in "
                    "dialogue "
                    f"{dialog} of the {first} set; a speaker must keep to one session, or set "
                    "protocol.test_unit: speaker"
                )
    untrained = set(range(len(examples.classes))) - set(examples.labels[fold.train].tolist())
    if untrained:
        raise InputError(
            f"fold {fold.name}: no training example of class {examples.classes[min(untrained)]}; "
            "leave the class out (protocol.classes) or merge it (protocol.merge)"
        )


def _fold(
    name: str,
    names: list[str],
    units: NDArray[np.str_],
    examples: Examples,
    protocol: Protocol,
) -> Fold:
    test = units == name
    free = ~test
    if protocol.test_unit == "speaker":  # speakers converse, so their dialogues are each other's
        free &= ~_heard(name, examples)
    if protocol.dev == "session":
        place = names.index(name)
        following = [*names[place + 1 :], *names[:place]]
        # whoever speaks with nobody but the test speaker cannot be a dev set: the next one is
        unit = next((other for other in following if (free & (units == other)).any()), "")
        dev = free & (units == unit)
        train = free & ~dev
        if protocol.test_unit == "speaker":
            train &= ~_heard(unit, examples)
    else:
        held = _held_out(examples.dialog[free], examples.session[free], protocol)
        dev = free & np.isin(examples.dialog, held)
        train = free & ~dev
    return Fold(name, *(np.flatnonzero(side).astype(np.int64) for side in (train, dev, test)))


def _first_shared(
    names: NDArray[np.str_], some: NDArray[np.int64], others: NDArray[np.int64]
) -> str:
    """The first name [E] that examples of both sides have; "" where none does."""
    shared = np.intersect1d(names[some], names[others])
    return str(shared[0]) if len(shared) else ""


def _heard(speaker: str, examples: Examples) -> NDArray[np.bool_]:
    """Which examples [E] are of a dialogue in which the speaker says anything."""
    theirs = {name for name, speakers in examples.parties.items() if speaker in speakers}
    theirs |= set(examples.dialog[examples.speaker == speaker].tolist())
    return np.isin(examples.dialog, sorted(theirs))


def _held_out(
    dialogs: NDArray[np.str_], sessions: NDArray[np.str_], protocol: Protocol
) -> list[str]:
    """The dialogues of the dev set: every so many-th of a shuffled list, session by session.

    dialogs, sessions: [n]. Shuffled by seeded hashes, not by a generator: the draw is the same with
    every numpy. At least one dialogue is held out, and one left.
    """

    def place(pair: tuple[str, str]) -> tuple[str, bytes]:
        session, dialog = pair
        return session, hashlib.sha256(f"{protocol.dev_seed}/{dialog}".encode()).digest()

    # a dialogue that is of two sessions (then it is folded by speaker) counts for the last
    session_of = dict(zip(dialogs.tolist(), sessions.tolist(), strict=True))
    ordered = [dialog for _, dialog in sorted(((s, d) for d, s in session_of.items()), key=place)]
    if not ordered:
        return []
    count = min(max(1, round(protocol.dev_fraction * len(ordered))), max(1, len(ordered) - 1))
    return [ordered[(2 * k + 1) * len(ordered) // (2 * count)] for k in range(count)]
