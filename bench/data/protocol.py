"""The protocol: everything besides the model that decides what a score means, as one plain value.

- It travels as plain data (`as_dict`, `from_dict`): it is part of a study's file, of every result
  and of every table.
- A member's hash is made of it. Fields that came later are written down only where they mean
  something, so that what was trained before them is still the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from activations.errors import InputError
from activations.wording import counted
from bench.corpora.names import nfc

FoldUnit = Literal["session", "speaker", "group", "split"]
DevRule = Literal["session", "dialogues", "speakers", "utterances", "split", "none"]
Selection = Literal["last", "dev", "oracle"]
Style = Literal["all", "improvised", "scripted"]

MOST_FOLDS = 1000
GROUP_FIELDS = ("folds", "repeats", "fold_seed")  # of test_unit: group, and of nothing else


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Classes, context, folds and selection; by default the literature's, with a clean dev set.

    classes: the labels kept, in the order of the logits. merge: labels counted as another one.
    context_turns: how many turns back a context may lie.
    style: which utterances are examples, where the corpus tells improvised from scripted speech;
    the others stay context.
    test_unit: what one fold tests: a "session", a "speaker", a "group" (one of `folds` groups of
    speakers, of like size and classes, drawn `repeats` times by `fold_seed`), or the test part of
    the corpus's own "split".
    dev: "session": the next test unit in sorted order (the first again after the last), so that
    no dev speaker trains; "speakers": as many whole training speakers as make `dev_fraction` of
    the training utterances, of like classes; "dialogues": `dev_fraction` of the training units'
    dialogues; "utterances": `dev_fraction` of each training speaker's utterances of each class, for
    corpora without dialogues; these three drawn by `dev_seed`. "split": the corpus's own; "none".
    selection: the checkpoint whose score counts: "last", "dev" (best on dev) or "oracle" (best on
    test: what the authors of IAAN did; too good by construction).
    Raises InputError naming the field that cannot be.
    """

    classes: tuple[str, ...] = ("ang", "hap", "neu", "sad")
    merge: Mapping[str, str] = field(default_factory=lambda: {"exc": "hap"}, hash=False)
    context_turns: int = 8
    test_unit: FoldUnit = "session"
    folds: int = 5
    repeats: int = 1
    fold_seed: int = 0
    dev: DevRule = "session"
    dev_fraction: float = 0.2
    dev_seed: int = 0
    selection: Selection = "dev"
    style: Style = "all"

    def __post_init__(self) -> None:
        _check_labels(self.classes, self.merge)
        _check_integer("context_turns", self.context_turns)
        _check_integer("dev_seed", self.dev_seed)
        _check_choice("test_unit", self.test_unit, get_args(FoldUnit))
        _check_choice("dev", self.dev, get_args(DevRule))
        _check_choice("selection", self.selection, get_args(Selection))
        _check_choice("style", self.style, get_args(Style))
        fraction = self.dev_fraction
        is_number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
        if not is_number or not 0 < fraction < 1:
            raise InputError(
                f"protocol.dev_fraction: {fraction!r} is not a number between 0 and 1 (0.2: a "
                "fifth of the training data)"
            )
        self._check_groups()
        self._check_dev()

    def _check_groups(self) -> None:
        for name, least in zip(GROUP_FIELDS, (2, 1, 0), strict=True):
            value = getattr(self, name)
            _check_integer(name, value)
            if not least <= value <= MOST_FOLDS:
                raise InputError(
                    f"protocol.{name}: {value!r} is not a whole number from {least} to {MOST_FOLDS}"
                )
            default = type(self).__dataclass_fields__[name].default
            if self.test_unit != "group" and value != default:
                raise InputError(
                    f"protocol.{name}: has no meaning with test_unit: {self.test_unit}; set "
                    "protocol.test_unit: group or leave it out"
                )
        if self.folds * self.repeats > MOST_FOLDS:
            raise InputError(
                f"protocol.repeats: {self.repeats} × {self.folds} folds are more than {MOST_FOLDS}"
            )

    def _check_dev(self) -> None:
        if self.dev == "split" and self.test_unit != "split":
            raise InputError(
                "protocol.dev: split is the corpus's own and needs protocol.test_unit: split"
            )
        if self.dev == "session" and self.test_unit == "split":
            raise InputError(
                "protocol.dev: session has no meaning with test_unit: split, which has one fold; "
                "set protocol.dev: split (the corpus's own), speakers, utterances or dialogues"
            )
        if self.dev == "none" and self.selection == "dev":
            raise InputError(
                "protocol.selection: dev has nothing to choose on with protocol.dev: none; set "
                "protocol.selection: last"
            )

    def as_dict(self) -> dict[str, Any]:
        """The protocol as plain data: strings, numbers, lists, dictionaries."""
        data = {**asdict(self), "classes": list(self.classes), "merge": dict(self.merge)}
        if self.test_unit != "group":
            for name in GROUP_FIELDS:
                del data[name]
        if self.style == "all":
            del data["style"]
        return data

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
        classes, merge = values.get("classes"), values.get("merge")
        if isinstance(classes, list):
            values["classes"] = tuple(nfc(c) if isinstance(c, str) else c for c in classes)
        if isinstance(merge, Mapping) and all(isinstance(w, str) for p in merge.items() for w in p):
            values["merge"] = {nfc(label): nfc(target) for label, target in merge.items()}
        return cls(**values)

    @property
    def text(self) -> str:
        """One line for the head of a table."""
        merged = ", ".join(f"{label}→{target}" for label, target in self.merge.items())
        test = {
            "group": f"leave one of {self.folds} groups of speakers out",
            "split": "the corpus's own split",
        }.get(self.test_unit, f"leave one {self.test_unit} out")
        if self.repeats > 1:
            test += f", {self.repeats} times (seed {self.fold_seed})"
        share = f"{self.dev_fraction:.0%} of"
        dev = {
            "session": f"one other {self.test_unit}",
            "speakers": f"training speakers with {share} the utterances (seed {self.dev_seed})",
            "dialogues": f"{share} the training dialogues (seed {self.dev_seed})",
            "utterances": f"{share} each training speaker's utterances (seed {self.dev_seed})",
            "split": "the corpus's own",
            "none": "none",
        }[self.dev]
        return (
            f"{len(self.classes)} classes "
            f"({' '.join(self.classes)}{'; ' + merged if merged else ''}) · "
            f"{'' if self.style == 'all' else self.style + ' speech · '}"
            f"{test} · dev: {dev} · context: {counted(self.context_turns, 'turn')} · "
            f"checkpoint: {self.selection}"
        )


def _check_labels(classes: object, merge: object) -> None:
    if isinstance(classes, tuple):
        for name in classes:
            _check_label("classes", name)
    if isinstance(merge, Mapping):
        for word in (word for pair in merge.items() for word in pair):
            _check_label("merge", word)
    if not isinstance(classes, tuple):
        raise InputError(f"protocol.classes: {classes!r} is not a list of labels")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise InputError(
            f"protocol.classes: {list(classes)} must name two or more different labels"
        )
    if not isinstance(merge, Mapping):
        raise InputError(f"protocol.merge: {merge!r} does not map labels to labels (exc: hap)")
    for label, target in merge.items():
        if target not in classes or label in classes:
            raise InputError(
                f"protocol.merge: {label} → {target} must lead from a label that is not a class to "
                f"one that is; classes: {' '.join(classes)}"
            )


def _check_label(field: str, label: object) -> None:
    """A label is text; YAML makes something else of 1, no, on and null unless they are quoted."""
    if isinstance(label, str):
        return
    if label is None or isinstance(label, bool):
        kind, example = "no text", {None: "null", True: "yes", False: "no"}[label]
    else:
        kind, example = ("a number" if isinstance(label, int | float) else "no text"), str(label)
    raise InputError(
        f"protocol.{field}: {label!r} is {kind} to YAML, and labels are text; write it in quotes, "
        f'as in "{example}"'
    )


def _check_integer(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"protocol.{name}: {value!r} is not a whole number from 0 up")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"protocol.{name}: {value!r} is none of {', '.join(choices)}")
