"""Any corpus, described by one table `manifest.csv`: a row per utterance, a column per thing known.

Four columns are needed (`id audio speaker label`); the others have defaults that claim nothing: no
dialogue, hence no context, and folds by speaker. A name that is nearly a known column is refused,
because a mistyped `dialog` would silently take every context away.
"""

import math
import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn, TypeVar

from activations.errors import InputError
from bench.corpora.checks import check_audio
from bench.corpora.corpus import COLUMNS, OPTIONAL, Corpus, hours_of
from bench.corpora.names import find_file, nfc
from bench.corpora.tables import SPREADSHEETS, read_rows
from bench.corpora.words import BOOLEANS, GENDERS, SPLITS

_Value = TypeVar("_Value")

MANIFEST = "manifest.csv"
MANIFESTS = (MANIFEST, "manifest.parquet")
REQUIRED = ("id", "audio", "speaker", "label")
DIMENSIONS = ("valence", "activation", "dominance")
READ = (*COLUMNS, "split", *DIMENSIONS)  # the columns that a manifest may have
LONGEST_NAME = 500  # characters: the longest of a column decides how much memory all of it takes


def read_manifest(root: Path, *, strict: bool = True) -> Corpus:
    """Read the corpus that `root/manifest.csv` (or .parquet, or the file `root`) describes.

    Columns as in `READ`; `audio` is relative to the manifest's folder. Without `dialog` every
    utterance is a dialogue of its own, without `turn` the rows' order counts, without `session` the
    session is the speaker. `start` and `end` cut the utterance out of its file.
    strict: refuse missing or broken audio; otherwise list it in `faults`.
    Raises InputError naming file, row (the header is row 1) and column of what cannot be.
    """
    import pandas as pd

    path = _find(root)
    folder = path.parent
    rows = list(_rows(path))
    if not rows:
        raise InputError(f"{path} has a header and no row; write one row for each utterance")
    table = pd.DataFrame(rows, columns=[*COLUMNS, *OPTIONAL, *DIMENSIONS])
    table = table.sort_values(["dialog", "turn"], kind="stable").reset_index(drop=True)
    checked = check_audio(table, folder)
    table["seconds"] = checked.seconds
    if strict:
        checked.refuse_faults(f"{path}:", "put the audio there, or mend or remove its row")
    name = folder.resolve().name if path.name in MANIFESTS else path.stem
    return Corpus(
        name=name, root=folder, table=table, faults=checked.faults, notes=(hours_of(table),)
    )


def _find(root: Path) -> Path:
    """The manifest itself."""
    if root.is_file():
        return root
    if not root.exists():
        raise InputError(f"{root} does not exist; give the folder that holds {MANIFEST}")
    there = [root / name for name in MANIFESTS if (root / name).is_file()]
    if len(there) > 1:
        raise InputError(f"{root} holds {' and '.join(MANIFESTS)}; name the one that is meant")
    if there:
        return there[0]
    for path in sorted(root.glob("manifest.*")):
        if path.suffix.lower() in SPREADSHEETS:
            raise InputError(f"{path} is a spreadsheet; save it as {MANIFEST} (CSV UTF-8)")
    below = sorted(path.parent for name in MANIFESTS for path in root.glob(f"*/{name}"))
    if below:
        raise InputError(f"{root} holds no {MANIFEST}, but {below[0]} does; give that folder")
    raise InputError(
        f"{root} holds no {MANIFEST}; write one with the columns {', '.join(REQUIRED)} "
        f"(optional: {', '.join(name for name in READ if name not in REQUIRED)})"
    )


def _rows(path: Path) -> Iterator[dict[str, object]]:
    """The rows with all columns filled in and checked."""
    seen: dict[str, int] = {}
    places: dict[tuple[str, int], int] = {}
    lengths: dict[str, int] = {}
    header, records = read_rows(path)
    _check_header(path, header)
    folder = str(path.parent.absolute())
    for number, cells in records:
        row = _Row(path, number, cells)
        name = row.needed("id")
        if name in seen:
            row.refuse("id", name, f"a new id (row {seen[name]} has it too)")
        seen[name] = number
        speaker = row.needed("speaker")
        dialog = row.name("dialog") or name
        turn = row.whole("turn", lengths.get(dialog, 0))
        if (dialog, turn) in places:
            first = places[dialog, turn]
            row.refuse("turn", str(turn), f"a new turn of dialogue {dialog} (row {first} has it)")
        places[dialog, turn] = number
        lengths[dialog] = lengths.get(dialog, 0) + 1
        start, end = row.seconds("start"), row.seconds("end")
        if not (math.isnan(end) or end > (0.0 if math.isnan(start) else start)):
            row.refuse("end", row.text("end"), f"later than the start ({row.text('start') or 0} s)")
        yield {
            "id": name,
            "audio": _found(os.path.join(folder, row.needed("audio", whole=True))),
            "start": start,
            "end": end,
            "segment": not (math.isnan(start) and math.isnan(end)),
            "speaker": speaker,
            "dialog": dialog,
            "turn": turn,
            "session": row.name("session") or speaker,
            "label": row.needed("label"),
            "text": row.text("text"),
            "gender": row.choice("gender", GENDERS),
            "improvised": row.choice("improvised", BOOLEANS),
            "split": row.choice("split", SPLITS),
            **{name: row.number(name) for name in DIMENSIONS},
        }


def _found(audio: str) -> str:
    """The path of a file as the disk has it."""
    return audio if audio.isascii() else str(find_file(Path(audio)))


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(
            f"{path}, row 1: column {missing[0]} is missing (there are: {', '.join(header)}); "
            f"needed: {', '.join(REQUIRED)}"
        )
    for name in header:
        if header.count(name) > 1:
            raise InputError(f"{path}, row 1: column {name} is there twice; remove one")
        close = get_close_matches(name.lower(), READ, n=1, cutoff=0.8)
        if name not in READ and close and close[0] not in header:
            raise InputError(
                f"{path}, row 1: no column is called {name!r}. Did you mean {close[0]!r}? "
                f"All: {', '.join(READ)}"
            )


class _Row:
    """One row's cells, read with the place of the row in every complaint."""

    def __init__(self, path: Path, number: int, cells: dict[str, str]) -> None:
        self.path, self.row, self.cells = path, number, cells

    def text(self, column: str) -> str:
        if column not in self.cells:
            return ""
        return nfc(self.cells.get(column, "").strip())

    def name(self, column: str) -> str:
        text = self.text(column)
        if len(text) > LONGEST_NAME:
            self.refuse(column, text[:20] + "…", f"a name of at most {LONGEST_NAME} characters")
        return text

    def needed(self, column: str, *, whole: bool = False) -> str:
        """Whole: a path, which stays as the disk may have it."""
        text = self.cells.get(column, "").strip() if whole else self.name(column)
        return text or self.refuse(column, "", "filled in")

    def seconds(self, column: str) -> float:
        value = self.number(column)
        if value < 0:
            self.refuse(column, self.text(column), "a time in seconds")
        return value

    def number(self, column: str) -> float:
        """A number, with a decimal comma too where the cell has one; NaN for an empty cell."""
        text = self.text(column)
        try:
            value = float(text.replace(",", ".")) if text else math.nan
        except ValueError:
            value = math.inf
        if text and not math.isfinite(value):
            time = column in ("start", "end")
            self.refuse(column, text, "a time in seconds" if time else "a number")
        return value

    def whole(self, column: str, default: int) -> int:
        text = self.text(column)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            self.refuse(column, text, "a whole number")
        return int(text)

    def choice(self, column: str, choices: dict[str, _Value]) -> _Value:
        text = self.text(column)
        if text.lower() not in choices:
            self.refuse(column, text, f"one of {', '.join(filter(None, choices))}")
        return choices[text.lower()]

    def refuse(self, column: str, found: str, wanted: str) -> NoReturn:
        raise InputError(
            f"{self.path}, row {self.row}, column {column}: {found!r} is not {wanted}; "
            "mend the cell"
        )
