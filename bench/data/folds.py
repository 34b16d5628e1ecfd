"""Folds: train, dev and test sets of one cross-validation split.

- Folds are checked, not believed: no speaker and no dialogue is on both sides, and whatever would
  break that is left out or refused. Results with the same speaker on both sides are the commonest
  mistake of the field. Only a corpus's own split may share speakers: it is reported, not mended.
- The dev set never holds a test speaker, so that choosing a checkpoint on it is honest.
- The same corpus gives the same folds on every machine: draws are hashes of names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from bench.arrays import IntArray, Mask
from bench.data.cast import Cast
from bench.data.examples import Examples
from bench.data.groups import balanced_groups, draw_order, imbalance
from bench.data.protocol import MOST_FOLDS, Protocol

MOST_IMPROVED = 20  # drawings of groups that were there before, until less balanced ones will do
MOST_DRAWS = 200  # … until others are given up


@dataclass(frozen=True, eq=False)
class Fold:
    """One split of the examples.

    name: the test unit. train, dev, test: sorted int64 indices into `Examples`, disjoint.
    repeat: which drawing of the groups it belongs to.
    Folding by speaker, examples of others that share a dialogue with the test speaker are on no
    side.
    """

    name: str
    train: IntArray
    dev: IntArray
    test: IntArray
    repeat: int = 0

    @property
    def diagnosed(self) -> IntArray:
        """On what networks are looked into: the dev set, without one the training set."""
        return self.dev if len(self.dev) else self.train


def make_folds(examples: Examples, protocol: Protocol) -> tuple[Fold, ...]:
    """The protocol's folds: one for each session, speaker or group, or that of the own split.

    Folding by speaker, training and dev sets leave out every dialogue in which the test speaker
    takes part, and training leaves out those of the dev speakers, so that it is as clean as folding
    by session.
    Raises InputError when a clean fold cannot be made: fewer units than sides, more than
    `MOST_FOLDS`, a speaker in two sessions, an empty side, a class that no training example has.
    """
    return tuple(each_fold(examples, protocol))


def each_fold(examples: Examples, protocol: Protocol) -> Iterator[Fold]:
    """The folds one by one, for whoever need not keep them: hundreds of a large corpus are big.

    Raises as `make_folds` does, when the fold is reached.
    """
    cast = Cast.of(examples)
    for fold in _unchecked(examples, cast, protocol):
        check_fold(fold, examples, cast, protocol)
        yield fold


def _unchecked(examples: Examples, cast: Cast, protocol: Protocol) -> Iterator[Fold]:
    if protocol.test_unit == "split":
        yield _own_split(examples, cast, protocol)
        return
    if protocol.test_unit == "group":
        drawn = _group_units(examples, cast, protocol)
    else:
        units = examples.session if protocol.test_unit == "session" else examples.speaker
        drawn = [units]
        _check_number([str(name) for name in np.unique(units)], protocol)
    ranked = _ranked(examples, cast, protocol) if protocol.dev == "utterances" else None
    for repeat, units in enumerate(drawn):
        names, numbers = np.unique(units, return_inverse=True)
        for number in range(len(names)):
            yield _fold(number, names, numbers, examples, cast, protocol, ranked, repeat)


def shared_speakers(fold: Fold, examples: Examples) -> list[str]:
    """Who is both in the training and in the test set: nobody, but for a corpus's own split."""
    return sorted(
        set(examples.speaker[fold.train].tolist()) & set(examples.speaker[fold.test].tolist())
    )


def check_fold(fold: Fold, examples: Examples, cast: Cast, protocol: Protocol) -> None:
    """Raise InputError unless the fold's sides are filled and keep speakers and dialogues apart.

    cast: `Cast.of(examples)`. No dialogue is on two sides; no speaker of the test side is on
    another one, nor heard there as context; where the dev rule is by speakers neither is a speaker
    of the dev side. The corpus's own split may share speakers. Every class has a training example.
    """
    sides = {"train": fold.train, "dev": fold.dev, "test": fold.test}
    if protocol.dev == "none":
        del sides["dev"]
    for side, rows in sides.items():
        if not len(rows):
            raise InputError(
                f"fold {fold.name}: the {side} set is empty; the corpus has too few dialogues "
                f"apart from the test set's for protocol.test_unit: {protocol.test_unit} with "
                f"protocol.dev: {protocol.dev}"
            )
    dialogs = {side: cast.dialogs_of(rows) for side, rows in sides.items()}
    speakers = {side: cast.speakers_of(rows) for side, rows in sides.items()}
    for first, second in combinations(sides, 2):
        shared = cast.dialog_names[dialogs[first] & dialogs[second]]
        if len(shared):
            raise InputError(
                f"fold {fold.name}: dialogue {shared[0]} is in the {first} and in the {second} "
                f"set; {_remedy_for_dialogues(first, second, protocol)}"
            )
        if protocol.test_unit == "split":
            continue
        if (first, second) == ("train", "dev") and protocol.dev in ("dialogues", "utterances"):
            continue
        shared = cast.speaker_names[speakers[first] & speakers[second]]
        if len(shared):
            raise InputError(
                f"fold {fold.name}: speaker {shared[0]} is in the {first} and in the {second} set; "
                "give speakers of different sessions different names, or set protocol.test_unit: "
                "speaker"
            )
        heard = cast.speaker_names[speakers[second] & cast.heard_in(dialogs[first])]
        if len(heard):
            dialog = _where_heard(str(heard[0]), dialogs[first], cast)
            raise InputError(
                f"fold {fold.name}: speaker {heard[0]} of the {second} set is heard in dialogue "
                f"{dialog} of the {first} set; a speaker must keep to one session, or set "
                "protocol.test_unit: speaker"
            )
    untrained = np.flatnonzero(
        np.bincount(examples.labels[fold.train], minlength=len(examples.classes)) == 0
    )
    if len(untrained):
        raise InputError(
            f"fold {fold.name}: no training example of class {examples.classes[untrained[0]]}; "
            "leave the class out (protocol.classes) or merge it (protocol.merge)"
        )


def _remedy_for_dialogues(first: str, second: str, protocol: Protocol) -> str:
    if protocol.dev == "utterances" and (first, second) == ("train", "dev"):
        return "where speakers converse, set protocol.dev: dialogues (or speakers)"
    return "a dialogue must lie within one session, or set protocol.test_unit: speaker"


def _where_heard(speaker: str, dialogs: Mask, cast: Cast) -> str:
    theirs = cast.heard_dialog[cast.speaker_names[cast.heard_speaker] == speaker]
    return str(cast.dialog_names[np.unique(theirs[dialogs[theirs]])[0]])


def _check_number(names: list[str], protocol: Protocol) -> None:
    unit = protocol.test_unit
    needed = 3 if protocol.dev == "session" else 2
    if len(names) < needed:
        shown = ", ".join(names)
        raise InputError(
            f"protocol.test_unit: leaving one {unit} out needs at least {needed}; the corpus has "
            f"{len(names)} ({shown}); try test_unit: speaker or dev: dialogues, or, where nobody "
            "converses, dev: utterances"
        )
    if len(names) > MOST_FOLDS:
        raise InputError(
            f"protocol.test_unit: leaving one {unit} out makes {len(names):,} folds, more than "
            f"{MOST_FOLDS:,}; set protocol.test_unit: group and protocol.folds: 5 (groups of "
            "speakers), or split where the corpus has its own"
        )


def _fold(
    number: int,
    names: NDArray[np.str_],
    units: NDArray[np.integer[Any]],
    examples: Examples,
    cast: Cast,
    protocol: Protocol,
    ranked: IntArray | None,
    repeat: int,
) -> Fold:
    """The fold of the unit `number`; units: [E] numbers of the units `names` [U], sorted."""
    test = units == number
    free = ~test
    by_speaker = protocol.test_unit == "speaker"
    if by_speaker:  # speakers converse, so their dialogues are each other's
        free &= ~cast.with_any(cast.speakers_of(test))
    name = str(names[number])
    if protocol.dev == "session":
        following = [*range(number + 1, len(names)), *range(number)]
        # whoever speaks with nobody but the test speaker cannot be a dev set: the next one is
        unit = next((other for other in following if (free & (units == other)).any()), -1)
        dev = free & (units == unit)
        train = free & ~dev
        if by_speaker and dev.any():
            train &= ~cast.with_any(cast.speakers_of(dev))
    else:
        dev = _held_out(name, free, examples, cast, protocol, ranked)
        train = free & ~dev
    return _sides(name, train, dev, test, repeat)


def _sides(name: str, train: Mask, dev: Mask, test: Mask, repeat: int = 0) -> Fold:
    rows = [np.flatnonzero(side).astype(np.int64) for side in (train, dev, test)]
    return Fold(name, rows[0], rows[1], rows[2], repeat)


def _own_split(examples: Examples, cast: Cast, protocol: Protocol) -> Fold:
    """The fold "test": the corpus's own training and test parts."""
    sides = {side: np.asarray(examples.split == side) for side in ("train", "dev", "test")}
    for side in ("train", "test") + (("dev",) if protocol.dev == "split" else ()):
        if not sides[side].any():
            raise InputError(
                f"protocol.{'dev' if side == 'dev' else 'test_unit'}: split needs a corpus with "
                f"its own split, and no example is in its {side} part; give the column `split` "
                "(train, dev, test) or set "
                + ("protocol.dev: utterances" if side == "dev" else "protocol.test_unit: group")
            )
    if protocol.dev == "split":
        return _sides("test", sides["train"], sides["dev"], sides["test"])
    ranked = _ranked(examples, cast, protocol) if protocol.dev == "utterances" else None
    dev = _held_out("test", sides["train"], examples, cast, protocol, ranked)
    return _sides("test", sides["train"] & ~dev, dev, sides["test"])


def _held_out(
    fold: str,
    free: Mask,
    examples: Examples,
    cast: Cast,
    protocol: Protocol,
    ranked: IntArray | None,
) -> Mask:
    """Which of the examples `free` [E] are the fold's dev set, for the rules that draw one."""
    dev = np.zeros(len(examples), dtype=np.bool_)
    if protocol.dev == "speakers":
        return _held_speakers(fold, free, examples, cast, protocol)
    if protocol.dev == "dialogues":
        held = _held_dialogues(examples.dialog[free], examples.session[free], protocol)
        return free & np.isin(examples.dialog, held)
    if ranked is not None:  # in the order of class and speaker, every so many-th: of each its share
        ordered = ranked[free[ranked]]
        dev[ordered[_every(len(ordered), protocol.dev_fraction)]] = True
    return dev


def _ranked(examples: Examples, cast: Cast, protocol: Protocol) -> IntArray:
    """All examples [E] by class, speaker and a draw: the same for every fold, and drawn once."""
    drawn = np.array(draw_order(examples.ids.tolist(), f"{protocol.dev_seed}"), dtype=np.int64)
    order = np.lexsort((cast.speaker[drawn], examples.labels[drawn]))
    return np.asarray(drawn[order])


def _every(n: int, fraction: float) -> list[int]:
    """Places among n, evenly: about `fraction` of them, at least one, and one left out."""
    if not n:
        return []
    count = min(max(1, round(fraction * n)), max(1, n - 1))
    return [(2 * k + 1) * n // (2 * count) for k in range(count)]


def _held_speakers(
    fold: str, free: Mask, examples: Examples, cast: Cast, protocol: Protocol
) -> Mask:
    """The examples of some whole circles of the training speakers, alike in classes to the rest."""
    circles = cast.circles(free)
    names = _names_of(circles, cast)
    wanted = max(2, round(1 / protocol.dev_fraction))
    if len(names) < 2:
        raise InputError(
            f"fold {fold}: protocol.dev: speakers needs two training speakers who do not converse, "
            f"and there {'is one' if names else 'is none'}; set protocol.dev: dialogues, or "
            "utterances where nobody converses"
        )
    counts = _counts(circles, free, examples, cast)
    order = draw_order(names, f"{protocol.dev_seed}/{fold}")
    group = balanced_groups(counts, min(wanted, len(names)), order)
    chosen = int(np.argmin(imbalance(counts, group)))
    return np.asarray(free & (group == chosen)[circles[cast.speaker]])


def _group_units(examples: Examples, cast: Cast, protocol: Protocol) -> list[NDArray[np.str_]]:
    """For each repeat the group [E] of each example's speaker: different groups every time."""
    everyone = np.ones(len(examples), dtype=np.bool_)
    circles = cast.circles(everyone)
    names = _names_of(circles, cast)
    needed = 3 if protocol.dev == "session" else 2
    if len(names) < protocol.folds or protocol.folds < needed:
        spoken = "" if len(names) == len(cast.speaker_names) else " who do not converse"
        raise InputError(
            f"protocol.folds: {protocol.folds} groups need as many speakers{spoken} (and at least "
            f"{needed} groups with dev: {protocol.dev}), the corpus has {len(names)}; set fewer "
            "protocol.folds, or protocol.dev: utterances, or a manifest with more speakers"
        )
    counts = _counts(circles, everyone, examples, cast)
    width = len(str(protocol.folds))
    seen: set[frozenset[frozenset[int]]] = set()
    drawn = []
    for repeat in range(protocol.repeats):
        for attempt in range(MOST_DRAWS):
            key = f"{protocol.fold_seed}/{repeat}/{attempt}"
            order = draw_order(names, key)
            group = balanced_groups(counts, protocol.folds, order, improve=attempt < MOST_IMPROVED)
            parts = frozenset(
                frozenset(np.flatnonzero(group == g).tolist()) for g in range(protocol.folds)
            )
            if parts not in seen:
                break
        else:
            raise InputError(
                f"protocol.repeats: after {repeat} different divisions of {len(names)} speakers "
                f"into {protocol.folds} balanced groups no other was found; set protocol.repeats: "
                f"{repeat}"
            )
        seen.add(parts)
        prefix = f"r{repeat + 1:0{len(str(protocol.repeats))}}" if protocol.repeats > 1 else ""
        labels = np.array([f"{prefix}g{g + 1:0{width}}" for g in _by_first_name(group)])
        drawn.append(labels[group][circles[cast.speaker]])
    return drawn


def _by_first_name(group: IntArray) -> list[int]:
    """New numbers of the groups [groups], by the first unit in each: names do not hang on order."""
    first = [int(np.flatnonzero(group == g)[0]) for g in range(int(group.max()) + 1)]
    return [sorted(first).index(at) for at in first]


def _names_of(circles: IntArray, cast: Cast) -> list[str]:
    """A name for each circle: its first speaker's."""
    number = int(circles.max(initial=-1)) + 1
    return [str(cast.speaker_names[np.flatnonzero(circles == n)[0]]) for n in range(number)]


def _counts(circles: IntArray, rows: Mask, examples: Examples, cast: Cast) -> IntArray:
    """Of each circle [U, C + 1]: examples of each class among `rows`, and speakers."""
    number, classes = int(circles.max(initial=-1)) + 1, len(examples.classes)
    counts = np.zeros((number, classes + 1), dtype=np.int64)
    np.add.at(counts, (circles[cast.speaker[rows]], examples.labels[rows]), 1)
    speakers = circles[cast.speakers_of(rows)]
    np.add.at(counts, (speakers, np.full(len(speakers), classes)), 1)
    return counts


def _held_dialogues(
    dialogs: NDArray[np.str_], sessions: NDArray[np.str_], protocol: Protocol
) -> list[str]:
    """The dialogues of the dev set: every so many-th of a shuffled list, session by session.

    dialogs, sessions: [n]. Shuffled by seeded hashes, not by a generator: the draw is the same with
    every numpy. At least one dialogue is held out, and one left.
    """
    # a dialogue that is of two sessions (then it is folded by speaker) counts for the last
    session_of = dict(zip(dialogs.tolist(), sessions.tolist(), strict=True))
    names = list(session_of)
    drawn = [names[at] for at in draw_order(names, f"{protocol.dev_seed}")]
    ordered = sorted(drawn, key=session_of.__getitem__)
    return [ordered[at] for at in _every(len(ordered), protocol.dev_fraction)]
