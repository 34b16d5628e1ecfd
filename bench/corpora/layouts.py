"""What the names of a corpus's files say: one pattern for each corpus, as data.

- A corpus of acted or cut-out recordings differs from the next in how it names its files and in
  nothing else, so a corpus is a table entry (layouts.toml), not a module. A study may bring its
  own.
- A pattern comes from a file, so it is checked when it is read: a group that no column takes or a
  misspelt field would leave a column empty without a word.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from activations.errors import InputError
from bench.corpora.expressions import Expression
from bench.corpora.names import nfc

Groups = Mapping[str, str]

_TEMPLATES = ("id", "speaker", "dialog", "session")
_MAPS = ("labels", "speakers", "texts", "splits")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
LONGEST = 1000  # characters of a pattern: what is longer is no file name's


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """A file beside the recordings that says what their names do not.

    name: which files. line: of one line each, or None for a table with the columns `columns` (ours
    to theirs). key, match: templates over a row's and over a file name's groups, equal where row
    and file belong together.
    """

    name: Expression
    key: str
    match: str
    line: Expression | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a corpus names its files; the fields are explained in layouts.toml."""

    name: str
    title: str
    source: str
    file: Expression
    labels: Mapping[str, str] | None = None
    speakers: Mapping[str, str] | None = None
    texts: Mapping[str, str] | None = None
    splits: Mapping[str, str] | None = None
    genders: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    utterances: int | None = None
    annotations: Annotations | None = None

    def groups(self, path: str) -> dict[str, str] | None:
        """What a path below the corpus's folder, without suffix, says; None for another name."""
        found = self.file.groups(path)
        if found is None:
            return None
        groups = dict(found)
        if "split" in groups:  # templates and keys speak of our names
            groups["split"] = (self.splits or {}).get(groups["split"], groups["split"])
        return groups

    @classmethod
    def from_dict(cls, data: object, *, name: str = "files", where: str = "pattern") -> "Layout":
        """A layout from plain data, as in layouts.toml.

        Raises InputError naming the field below `where` that cannot be.
        """
        read = _Reader(data, where)
        layout = cls(
            name=name,
            title=read.text("title", name),
            source=read.text("source", ""),
            file=read.expression("file", r"(?:.*/)?(?:{})"),
            **{key: read.map(key) for key in _MAPS},
            genders={
                **dict.fromkeys(read.words("female"), "female"),
                **dict.fromkeys(read.words("male"), "male"),
            },
            templates={key: read.text(key, "") for key in _TEMPLATES if read.has(key)},
            utterances=read.number("utterances"),
            annotations=_annotations(read.data.get("annotations"), f"{where}.annotations"),
        )
        read.refuse_others()
        known = layout.file.names
        for key, template in layout.templates.items():
            read.check_template(key, template, known)
        if layout.annotations is not None:
            read.check_template("annotations.match", layout.annotations.match, known)
            known |= set(layout.annotations.columns)
            known |= layout.annotations.line.names if layout.annotations.line else set()
        for needed in ("speaker", "label"):
            if needed not in known and needed not in layout.templates:
                raise InputError(
                    f"{where}.file: nothing says the {needed}; name a group (?P<{needed}>…) in it, "
                    "or read it from annotations"
                )
        return layout


def fill(template: str, groups: Groups) -> str:
    """A template with the groups' values in place of {group}; an unknown group is nothing."""
    return _PLACEHOLDER.sub(lambda found: groups.get(found[1], ""), template)


@cache
def layouts() -> dict[str, Layout]:
    """The corpora that are known by their file names."""
    text = resources.files("bench.corpora").joinpath("layouts.toml").read_text(encoding="utf-8")
    return {
        name: Layout.from_dict(data, name=name, where=f"layouts.toml: {name}")
        for name, data in tomllib.loads(text).items()
    }


def _annotations(data: object, where: str) -> Annotations | None:
    if data is None:
        return None
    read = _Reader(data, where)
    line = read.expression("line", "{}") if read.has("line") else None
    found = Annotations(
        name=read.expression("name", "{}"),
        key=read.text("key"),
        match=read.text("match"),
        line=line,
        columns=read.map("columns") or {},
    )
    read.refuse_others()
    if (line is None) == (not found.columns):
        raise InputError(f"{where}: needs either columns (of a table) or line (an expression)")
    return found


class _Reader:
    """Fields of plain data, read with their place in every complaint."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise InputError(f"{where}: {data!r} has no fields; it needs at least `file`")
        self.data: Mapping[Any, Any] = data
        self._where = where
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        return key in self.data

    def text(self, key: str, default: str | None = None) -> str:
        self._read.add(key)
        value = self.data.get(key, default)
        if not isinstance(value, str):
            raise InputError(f"{self._where}.{key}: {value!r} is not text")
        return nfc(value)

    def expression(self, key: str, around: str) -> Expression:
        text = self.text(key)
        if len(text) > LONGEST:
            raise InputError(f"{self._where}.{key}: is longer than {LONGEST} characters")
        try:
            compiled = re.compile(around.replace("{}", text))
        except (re.error, RecursionError, OverflowError) as error:
            raise InputError(
                f"{self._where}.{key}: {text!r} is not a regular expression ({error})"
            ) from None
        return Expression(compiled, f"{self._where}.{key}")

    def map(self, key: str) -> dict[str, str] | None:
        self._read.add(key)
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping) or not all(
            isinstance(word, str) for pair in value.items() for word in pair
        ):
            raise InputError(
                f"{self._where}.{key}: {value!r} does not map text to text; quote what YAML takes "
                'for a number or a truth value ("01": neu, "no": neu)'
            )
        return {nfc(word): nfc(meaning) for word, meaning in value.items()}

    def words(self, key: str) -> list[str]:
        self._read.add(key)
        value = self.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise InputError(f"{self._where}.{key}: {value!r} is not a list of names (in quotes)")
        return [nfc(word) for word in value]

    def number(self, key: str) -> int | None:
        self._read.add(key)
        value = self.data.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InputError(f"{self._where}.{key}: {value!r} is not a whole number")
        return value

    def refuse_others(self) -> None:
        others = [key for key in self.data if key not in self._read | {"annotations"}]
        if others:
            raise InputError(
                f"{self._where}.{others[0]}: there is no such field; fields: "
                f"{', '.join(sorted(self._read))}"
            )

    def check_template(self, key: str, template: str, known: set[str]) -> None:
        for name in _PLACEHOLDER.findall(template):
            if name not in known:
                raise InputError(
                    f"{self._where}.{key}: {{{name}}} is no group of `file`; groups: "
                    f"{', '.join(sorted(known)) or 'none'}"
                )
