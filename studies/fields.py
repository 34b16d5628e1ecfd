"""What the fields of a specification may hold: values as YAML gives them, made into ours.

- A value that cannot be is refused with a message that pydantic can locate.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationInfo,
)

from activations import registry
from activations.errors import InputError, one_line
from activations.formula.formula import Formula
from activations.formula.parser import parse
from bench.corpora.layouts import Layout
from bench.corpora.reading import check_format
from bench.data.members import Activation
from bench.data.protocol import Protocol

MOST_SEEDS = 10_000  # and most values of any other list that is compared
LONGEST_NAME = 100  # characters of a formula's own name, which stands in every table
LARGEST = 2**63 - 1  # a whole number that files and random streams hold


def _number(value: object) -> object:
    """YAML reads 1e-4 as text, which pydantic makes a number; it would also make one of `true`."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _several(value: object) -> object:
    """A single value where a list is expected is a list of one."""
    return value if isinstance(value, list | tuple | dict) else (value,)


def counted(value: object) -> object:
    """A number of seeds n means the seeds 0 … n-1."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value > MOST_SEEDS:
            raise ValueError(f"must be at most {MOST_SEEDS:,} seeds, not {value:,}")
        return tuple(range(value))
    return value


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("must not be empty")
    if len(values) > MOST_SEEDS:
        raise ValueError(f"must be at most {MOST_SEEDS:,} values, not {len(values):,}")
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            name = repr(value.name if isinstance(value, Activation) else value)
            raise ValueError(f"names {name} twice")
        seen.add(value)
    return values


def as_protocol(value: object) -> object:
    """A protocol from its mapping. Raises ValueError naming the field."""
    return _located(Protocol.from_dict, value) if isinstance(value, Mapping) else value


def _activation(value: object, info: ValidationInfo) -> Activation:
    """An activation by the study's own formulas, then by the registry."""
    if isinstance(value, Activation):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be an activation's name or formula, not {value!r}")
    own = (info.context or {}).get("formulas", {})
    if value in own:
        return Activation(value, own[value])
    formula: Formula = _located(registry.get, value)
    return Activation(formula.name, formula.text)


def own_formula(name: str, text: str) -> str:
    """The canonical text of a formula that a study gives a name. Raises ValueError."""
    if not 0 < len(name) <= LONGEST_NAME or one_line(name) != name:
        raise ValueError(
            f"{one_line(name)[:20]!r}… is no name; take one of 1 to {LONGEST_NAME} characters, "
            "without line breaks and control characters"
        )
    if registry.is_shipped(name):
        raise ValueError(f"{name} is a shipped activation's name; give the formula another")
    return str(_located(parse, text).text)


def corpus_format(name: str) -> str:
    """A format there is, or `demo`. Raises ValueError naming those there are."""
    return str(_located(lambda text: check_format(text, "demo"), name))


def file_pattern(data: dict[str, Any]) -> dict[str, Any]:
    """A pattern of file names, checked. Raises ValueError naming what is wrong in it."""
    _located(Layout.from_dict, data)
    return data


def absolute(path: str) -> str:
    """The path from the root on, `~` replaced."""
    if "\0" in path:
        raise ValueError("holds a NUL character, which no path does")
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:
        raise ValueError(f"{path.split('/')[0]} is no user of this machine") from None


def _located(read: Callable[[Any], Any], value: object) -> Any:
    """What `read` makes of a value; its message becomes one that pydantic can locate."""
    try:
        return read(value)
    except InputError as error:
        raise ValueError(str(error)) from None


def hint(word: str, known: Sequence[str]) -> str:
    """` Did you mean 'x'?` or nothing."""
    last = {name.rpartition(".")[2]: name for name in known}
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if not close:
        near = difflib.get_close_matches(word.rpartition(".")[2], list(last), n=1, cutoff=0.6)
        close = [last[name] for name in near]
    return f" Did you mean '{close[0]}'?" if close else ""


Int = Annotated[int, Strict(), Field(le=LARGEST)]
Float = Annotated[float, BeforeValidator(_number)]
Compared = Annotated[
    Activation, BeforeValidator(_activation), PlainSerializer(lambda activation: activation.name)
]
Several = BeforeValidator(_several)
Distinct = AfterValidator(_distinct)


class Section(BaseModel):
    """What all parts of a specification share: unknown fields are errors, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
