"""The protocol: everything besides the model that decides what a score means, as one plain value.

- It travels as plain data (`as_dict`, `from_dict`): it is part of a study's file, of every result
  and of every table.
- Folds are checked, not believed: no speaker and no dialogue is on both sides, and whatever would
  break that is left out or refused. Results with the same speaker on both sides are the commonest
  mistake of the field.
- The dev set never holds a test speaker, so that choosing a checkpoint on it is honest.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError

if TYPE_CHECKING:  # examples.py needs Protocol; this module only names its type
    from bench.examples import Examples

FoldUnit = Literal["session", "speaker"]
DevRule = Literal["session", "dialogues"]
Selection = Literal["last", "dev", "oracle"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Classes, context, folds and selection; by default the literature's, with a clean dev set.

    classes: the labels kept, in the order of the logits. merge: labels counted as another one.
    context_turns: how many turns back a context may lie. test_unit: what one fold tests, a session
    or a speaker.
    dev: "session": the next test unit in sorted order (the first again after the last), so that
    no dev speaker trains; "dialogues": `dev_fraction` of the training units' dialogues, drawn by
    `dev_seed`.
    selection: the checkpoint whose score counts: "last", "dev" (best on dev) or "oracle" (best on
    test: what the authors of IAAN did; too good by construction).
    Raises InputError naming the field that cannot be.
    """

    classes: tuple[str, ...] = ("ang", "hap", "neu", "sad")
    merge: Mapping[str, str] = field(default_factory=lambda: {"exc": "hap"}, hash=False)
    context_turns: int = 8
    test_unit: FoldUnit = "session"
    dev: DevRule = "session"
    dev_fraction: float = 0.2
    dev_seed: int = 0
    selection: Selection = "dev"

    def __post_init__(self) -> None:
        _check_labels(self.classes, self.merge)
        _check_integer("context_turns", self.context_turns)
        _check_integer("dev_seed", self.dev_seed)
        _check_choice("test_unit", self.test_unit, get_args(FoldUnit))
        _check_choice("dev", self.dev, get_args(DevRule))
        _check_choice("selection", self.selection, get_args(Selection))
        fraction = self.dev_fraction
        is_number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
        if not is_number or not 0 < fraction < 1:
            raise InputError(
                f"protocol.dev_fraction: {fraction!r} is not a number between 0 and 1 (0.2: a "
                "fifth of the dialogues)"
            )

    def as_dict(self) -> dict[str, Any]:
        """The protocol as plain data: strings, numbers, lists, dictionaries."""
        return {**asdict(self), "classes": list(self.classes), "merge": dict(self.merge)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Protocol":
        """A protocol from plain data; a field that is not given keeps its default.

        Raises InputError naming the field that does not exist or has a value it cannot have.
        """
        unknown = [name for name in data if name not in cls.__dataclass_fields__]
        if unknown:
            raise InputError(
                f"protocol.{unknown[0]}: there is no such field; fields: "
                f"{', '.join(cls.__dataclass_fields__)}"
            )
        values = dict(data)
        if isinstance(values.get("classes"), list):
            values["classes"] = tuple(values["classes"])
        return cls(**values)

    @property
    def text(self) -> str:
        """One line for the head of a table."""
        merged = ", ".join(f"{label}→{target}" for label, target in self.merge.items())
        dev = (
            f"one other {self.test_unit}"
            if self.dev == "session"
            else f"{self.dev_fraction:.0%} of the training dialogues (seed {self.dev_seed})"
        )
        return (
            f"{len(self.classes)} classes "
            f"({' '.join(self.classes)}{'; ' + merged if merged else ''}) · "
            f"leave one {self.test_unit} out · dev: {dev} · context: {self.context_turns} turns · "
            f"checkpoint: {self.selection}"
        )


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


def make_folds(examples: "Examples", protocol: Protocol) -> tuple[Fold, ...]:
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


def check_fold(fold: Fold, examples: "Examples", protocol: Protocol) -> None:
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
    examples: "Examples",
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


def _heard(speaker: str, examples: "Examples") -> NDArray[np.bool_]:
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


def _check_labels(classes: object, merge: object) -> None:
    if not isinstance(classes, tuple) or not all(isinstance(name, str) for name in classes):
        raise InputError(f"protocol.classes: {classes!r} is not a list of labels")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise InputError(
            f"protocol.classes: {list(classes)} must name two or more different labels"
        )
    if not isinstance(merge, Mapping) or not all(
        isinstance(word, str) for pair in merge.items() for word in pair
    ):
        raise InputError(f"protocol.merge: {merge!r} does not map labels to labels (exc: hap)")
    for label, target in merge.items():
        if target not in classes or label in classes:
            raise InputError(
                f"protocol.merge: {label} → {target} must lead from a label that is not a class to "
                f"one that is; classes: {' '.join(classes)}"
            )


def _check_integer(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"protocol.{name}: {value!r} is not a whole number from 0 up")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"protocol.{name}: {value!r} is none of {', '.join(choices)}")
