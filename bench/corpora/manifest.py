"""Any corpus, described by one file `manifest.csv`: a row per utterance, a column per thing known.

Four columns are needed (`id audio speaker label`); the others have defaults that claim nothing: no
dialogue, hence no context, and folds by speaker. A name that is nearly a known column is refused,
because a mistyped `dialog` would silently take every context away.
"""

import csv
import math
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn, TypeVar

import pandas as pd

from activations.errors import InputError
from bench.corpora.audio import audio_fault
from bench.corpora.corpus import COLUMNS, Corpus

_Value = TypeVar("_Value")

MANIFEST = "manifest.csv"
REQUIRED = ("id", "audio", "speaker", "label")
GENDERS = {"": "", "f": "female", "female": "female", "m": "male", "male": "male"}
BOOLEANS = {
    "": False,
    "0": False,
    "false": False,
    "no": False,
    "1": True,
    "true": True,
    "yes": True,
}


def read_manifest(root: Path, *, strict: bool = True) -> Corpus:
    """Read the corpus that `root/manifest.csv` describes (UTF-8, comma-separated, with a header).

    Columns as in `corpus.COLUMNS`; `audio` is relative to `root`. Without `dialog` every utterance
    is a dialogue of its own, without `turn` the rows' order counts, without `session` the session
    is the speaker.
    strict: refuse missing or broken audio; otherwise list it in `faults`.
    Raises InputError naming file, row (the header is row 1) and column of what cannot be.
    """
    if not root.exists():
        raise InputError(f"{root} does not exist; give the folder that holds {MANIFEST}")
    path = root / MANIFEST
    if not path.is_file():
        raise InputError(
            f"{root} holds no {MANIFEST}; write one with the columns {', '.join(REQUIRED)} "
            f"(optional: {', '.join(name for name in COLUMNS if name not in REQUIRED)})"
        )
    rows = list(_rows(path))
    if not rows:
        raise InputError(f"{path} has a header and no row; write one row for each utterance")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.sort_values(["dialog", "turn"], kind="stable").reset_index(drop=True)
    faults = [f"{audio} {fault}" for audio in table["audio"] if (fault := audio_fault(Path(audio)))]
    if faults and strict:
        more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
        raise InputError(f"{path}: {faults[0]}{more}; put the audio there or remove its row")
    return Corpus(name=root.resolve().name, root=root, table=table, faults=tuple(faults))


def _rows(path: Path) -> Iterator[dict[str, object]]:
    """The rows with all columns filled in and checked."""
    seen: dict[str, int] = {}
    places: dict[tuple[str, int], int] = {}
    lengths: dict[str, int] = {}
    for number, cells in _records(path):
        row = _Row(path, number, cells)
        name = row.needed("id")
        if name in seen:
            row.refuse("id", name, f"a new id (row {seen[name]} has it too)")
        seen[name] = number
        speaker = row.needed("speaker")
        dialog = row.text("dialog") or name
        turn = row.whole("turn", lengths.get(dialog, 0))
        if (dialog, turn) in places:
            first = places[dialog, turn]
            row.refuse("turn", str(turn), f"a new turn of dialogue {dialog} (row {first} has it)")
        places[dialog, turn] = number
        lengths[dialog] = lengths.get(dialog, 0) + 1
        yield {
            "id": name,
            "audio": str((path.parent / row.needed("audio")).absolute()),
            "start": row.seconds("start"),
            "end": row.seconds("end"),
            "speaker": speaker,
            "dialog": dialog,
            "turn": turn,
            "session": row.text("session") or speaker,
            "label": row.needed("label"),
            "text": row.text("text"),
            "gender": row.choice("gender", GENDERS),
            "improvised": row.choice("improvised", BOOLEANS),
        }


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's number and its cells by column name; the header is checked first."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            for number, cells in enumerate(reader, start=2):
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{path}, row {number}: {len(cells)} cells where the header has "
                        f"{len(header)}; quote texts that contain a comma"
                    )
                yield number, dict(zip(header, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as UTF-8 CSV ({error}); save it again") from error


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
        close = get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.8)
        if name not in COLUMNS and close:
            raise InputError(
                f"{path}, row 1: no column is called {name!r}. Did you mean {close[0]!r}? "
                f"All: {', '.join(COLUMNS)}"
            )


class _Row:
    """One row's cells, read with the place of the row in every complaint."""

    def __init__(self, path: Path, number: int, cells: dict[str, str]) -> None:
        self.path, self.number, self.cells = path, number, cells

    def text(self, column: str) -> str:
        return self.cells.get(column, "").strip()

    def needed(self, column: str) -> str:
        return self.text(column) or self.refuse(column, "", "filled in")

    def seconds(self, column: str) -> float:
        text = self.text(column)
        try:
            value = float(text) if text else math.nan
        except ValueError:
            value = -1.0
        if text and not 0 <= value < math.inf:
            self.refuse(column, text, "a time in seconds")
        return value

    def whole(self, column: str, default: int) -> int:
        text = self.text(column)
        if not text:
            return default
        return int(text) if text.isdecimal() else self.refuse(column, text, "a whole number")

    def choice(self, column: str, choices: dict[str, _Value]) -> _Value:
        text = self.text(column)
        if text.lower() not in choices:
            self.refuse(column, text, f"one of {', '.join(filter(None, choices))}")
        return choices[text.lower()]

    def refuse(self, column: str, found: str, wanted: str) -> NoReturn:
        raise InputError(
            f"{self.path}, row {self.number}, column {column}: {found!r} is not {wanted}; "
            "mend the cell"
        )
