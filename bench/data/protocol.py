"""The protocol: everything besides the model that decides what a score means, as one plain value.

- It travels as plain data (`as_dict`, `from_dict`): it is part of a study's file, of every result
  and of every table.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from activations.errors import InputError

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
