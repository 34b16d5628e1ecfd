"""Rows of a table as people have them: CSV of any spreadsheet, or Parquet.

- A spreadsheet writes what its country writes: semicolons and decimal commas, a mark at the
  beginning, an index without a name, empty columns at the end. That is read. What cannot be read is
  named for what it is.
- A cell is text. What a program made of it on the way (1.0 for 1, NaN for nothing) is undone.
"""

import csv
import errno
import math
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from activations.errors import InputError
from activations.files import file_bytes
from bench.arrays import UNREADABLE

SEPARATORS = ",;\t|"
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
LONGEST_CELL = 100_000  # characters
MOST_ROWS = 5_000_000  # of a Parquet file, whose kilobytes may claim any number
_NO_PARQUET: tuple[type[Exception], ...] = (ImportError, *UNREADABLE)

TableRow = tuple[int, dict[str, str]]


def read_rows(path: Path) -> tuple[list[str], Iterator[TableRow]]:
    """The header of a table and its rows: each with its number (the header is row 1) and cells.

    Raises InputError naming the file (and row) for what is no table.
    """
    if path.suffix.lower() in SPREADSHEETS:
        raise InputError(f"{path} is a spreadsheet; save it as CSV (UTF-8) beside it")
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet(path)
        return _csv(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None


def _csv(path: Path) -> tuple[list[str], Iterator[TableRow]]:
    data = file_bytes(path)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}, cannot be read as UTF-8 CSV ({error.reason}); save it again as "
            '"CSV UTF-8"'
        ) from None
    lines = StringIO(text, newline="")
    first = lines.readline().strip()
    if first.lower().startswith("sep=") and len(first) == 5:  # Excel's way to name the separator
        separator, number = first[4], 2
    else:
        separator, number = _separator(first), 1
        lines.seek(0)
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    header = _next_row(path, number, reader) or []
    kept = [at for at, name in enumerate(header) if name.strip()]
    names = [header[at].strip() for at in kept]

    def rows() -> Iterator[TableRow]:
        at = number
        while (cells := _next_row(path, at + 1, reader)) is not None:
            at += 1
            if not any(cell.strip() for cell in cells):
                continue
            beyond = any(cell.strip() for cell in cells[len(header) :])
            if beyond or len(cells) <= max(kept, default=-1):
                raise InputError(
                    f"{path}, row {at}: {len(cells)} cells where the header has {len(header)}; "
                    f"quote texts that contain a {_word(separator)}"
                )
            yield at, dict(zip(names, (cells[k] for k in kept), strict=True))

    return names, rows()


def _next_row(path: Path, number: int, reader: Any) -> list[str] | None:
    """The next row, or None; a row that is no CSV is named by its number."""
    try:
        return next(reader, None)
    except csv.Error as error:
        raise InputError(
            f"{path}, row {number}, cannot be read as UTF-8 CSV ({error}); mend or save it again"
        ) from None


def _separator(header: str) -> str:
    """The one that the header has most of; a comma where it has none."""
    return max(SEPARATORS, key=lambda mark: (header.count(mark), mark == ","))


def _word(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}.get(separator, separator)


def _parquet(path: Path) -> tuple[list[str], Iterator[TableRow]]:
    import pandas as pd
    import pyarrow.parquet as pq

    if not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")
    try:
        rows_claimed = pq.read_metadata(path).num_rows
        if rows_claimed > MOST_ROWS:
            raise InputError(
                f"{path} claims {rows_claimed:,} rows; at most {MOST_ROWS:,} are one corpus"
            )
        table = pd.read_parquet(path)
        if table.index.name is not None and str(table.index.name) not in table.columns:
            table = table.reset_index()
    except _NO_PARQUET as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as Parquet ({reason[:200]})") from None
    names = [str(name).strip() for name in table.columns]

    def rows() -> Iterator[TableRow]:
        try:
            for number, cells in enumerate(table.itertuples(index=False, name=None), start=2):
                texts = [*map(_as_text, cells)]
                if max(map(len, texts), default=0) > LONGEST_CELL:
                    raise InputError(
                        f"{path}, row {number}: a cell has more than {LONGEST_CELL:,} characters"
                    )
                yield number, dict(zip(names, texts, strict=True))
        except UnicodeDecodeError as error:  # of texts, which are only looked at here
            raise InputError(f"{path} holds text that is not UTF-8 ({error.reason})") from None

    return names, rows()


def _as_text(value: object) -> str:
    """A cell as it would stand in a CSV file."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of whole numbers with a gap was made one of fractions
    text = str(value)
    return "" if text in ("<NA>", "NaT", "nan") else text
