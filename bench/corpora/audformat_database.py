"""Databases in audformat, the field's own format, from a folder or by their name from audb.

- Tables and columns are found by what the field calls them (emotion, speaker) and named in a study
  where that is not enough. A split is a table's own `split_id`.
- audformat reads its header with YAML's unsafe loader and prefers pickled tables, both of which can
  run code that somebody else wrote. The header is read safely first, pickles are refused.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from activations.errors import InputError
from activations.files import file_text
from activations.wording import counted
from bench.corpora.checks import check_audio
from bench.corpora.corpus import Corpus, hours_of
from bench.corpora.names import nfc
from bench.corpora.words import GENDERS, SPLITS

if TYPE_CHECKING:
    import audformat

HEADER = "db.yaml"
LABELS = ("emotion", "label", "emotion_label", "category", "class")  # columns or schemes
SPEAKERS = ("speaker", "speaker_id", "actor", "talker")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is taken of a database; None is found by the field's names.

    database, version: its name in audb, where it does not lie in a folder. table: of the labels, or
    several of them, one for each part of a split. label, speaker, session: columns.
    """

    database: str | None = None
    version: str | None = None
    table: tuple[str, ...] = ()
    label: str | None = None
    speaker: str | None = None
    session: str | None = None


def read_audformat(root: Path, selection: Selection, *, strict: bool = True) -> Corpus:
    """Read the database in `root`, or the one in audb that is kept below `root`.

    strict: refuse missing or broken audio; otherwise list it in `faults`.
    Raises InputError for a folder without a database, tables or columns that are not there or not
    the only ones that could be meant, and for what could run code.
    """
    db = _load(root, selection)
    folder = Path(str(db.root)) if selection.database else root
    tables = _label_tables(db, selection, folder)
    speakers = _of_files(db, selection.speaker, SPEAKERS, "speaker", folder)
    sessions = _of_files(db, selection.session, (), "session", folder) if selection.session else {}
    genders = _genders(db)
    rows: dict[tuple[str, float, float], dict[str, object]] = {}
    unlabelled = 0
    for table, column in tables:
        split = SPLITS.get(str(db.tables[table].split_id or "").lower(), "")
        for (file, start, end), label in _segments(db, table, column):
            if label is None:
                unlabelled += 1
                continue
            speaker = speakers.get((file, start, end)) or speakers.get((file, 0.0, float("inf")))
            if speaker is None:
                raise InputError(f"{folder}: {file} of table {table} has no speaker")
            whole = start == 0.0 and end == float("inf")
            row = {
                "audio": str((folder / file).absolute()),
                "start": float("nan") if whole else start,
                "end": float("nan") if end == float("inf") else end,
                "segment": not whole,
                "speaker": nfc(speaker),
                "session": nfc(sessions.get((file, 0.0, float("inf")), speaker)),
                "label": nfc(label),
                "gender": genders.get(speaker, ""),
                "split": split,
            }
            twin = rows.setdefault((file, start, end), row)
            if twin["label"] != row["label"]:
                raise InputError(
                    f"{folder}: {file} is {twin['label']} in one table and {label} in {table}; "
                    "name the table that is meant (corpus.audformat.table)"
                )
            twin["split"] = twin["split"] or split
    if not rows:
        raise InputError(f"{folder}: table {tables[0][0]} has no label")
    return _corpus(db.name, folder, rows, unlabelled, strict)


def _corpus(
    name: str,
    folder: Path,
    rows: Mapping[tuple[str, float, float], dict[str, object]],
    unlabelled: int,
    strict: bool,
) -> Corpus:
    import pandas as pd

    stems = Counter(Path(file).stem for file, _, _ in rows)
    table = pd.DataFrame(
        [
            {
                "id": _name(file, start, end, unique=stems[Path(file).stem] == 1),
                "turn": 0,
                "text": "",
                "improvised": False,
                **row,
            }
            for (file, start, end), row in rows.items()
        ]
    )
    table["dialog"] = table["id"]
    table = table.sort_values(["dialog", "turn"]).reset_index(drop=True)
    checked = check_audio(table, folder)
    table["seconds"] = checked.seconds
    if strict:
        checked.refuse_faults(f"{folder}:", "copy the database again")
    left = counted(unlabelled, "row without a label is", "rows without a label are")
    notes = [f"{left} left out"] * bool(unlabelled)
    return Corpus(
        name=name,
        root=folder,
        table=table,
        notes=(*notes, hours_of(table)),
        faults=checked.faults,
    )


def _name(file: str, start: float, end: float, *, unique: bool) -> str:
    """An id: the file's name, or its path where that is not the only one, and its stretch."""
    name = nfc(Path(file).stem if unique else file)
    if start == 0.0 and end == float("inf"):
        return name
    return f"{name}@{start:.3f}-{'' if end == float('inf') else f'{end:.3f}'}"


def _load(root: Path, selection: Selection) -> "audformat.Database":
    try:
        import audformat
    except ImportError:
        raise InputError(
            "audformat databases need another package: pip install 'gateswap[audformat]'"
        ) from None
    if selection.database is not None:
        return _from_audb(root, selection)
    header = root / HEADER
    if not header.is_file():
        raise InputError(
            f"{root} holds no {HEADER}; give the folder of an audformat database, or the name of "
            "one in audb (corpus.audformat.database)"
        )
    try:
        said = yaml.load(file_text(header), Loader=yaml.CSafeLoader)
        _refuse_pickles(root, said)
        return audformat.Database.load(str(root), load_data=True, verbose=False)
    except InputError:
        raise
    except (yaml.YAMLError, OSError, RecursionError) as error:
        raise InputError(f"{header} cannot be read ({_first_line(error)})") from None
    except Exception as error:  # whatever audformat makes of a header that is none
        raise InputError(
            f"{root} is no audformat database that can be read ({_first_line(error)})"
        ) from None


def _refuse_pickles(root: Path, header: Any) -> None:
    """Raise InputError where a table of a header is pickled, or its name leads elsewhere.

    A table's file is called as audformat calls it: "db.", its name, and what it is.
    """
    sections = [header.get(name) for name in ("tables", "misc_tables")]
    names = [str(name) for tables in sections if isinstance(tables, Mapping) for name in tables]
    for name in names:
        if "/" in name or "\\" in name or "\0" in name:
            raise InputError(f"{root / HEADER}: {name[:100]!r} is no name of a table")
    named = [root / f"db.{name}.pkl" for name in names]
    pickled = [path for path in (*named, *sorted(root.glob("db.*.pkl"))) if path.exists()]
    if pickled:
        raise InputError(
            f"{pickled[0]}: pickled tables can run code and are not read; remove them (the CSV or "
            "Parquet files beside them say the same)"
        )


def _from_audb(root: Path, selection: Selection) -> "audformat.Database":
    try:
        import audb
    except ImportError:
        raise InputError(
            "databases of audb need another package: pip install 'gateswap[audformat]'"
        ) from None
    try:
        root.mkdir(parents=True, exist_ok=True)
        db = audb.load(
            selection.database,
            version=selection.version,
            full_path=False,
            pickle_tables=False,
            cache_root=str(root),
            verbose=False,
        )
    except Exception as error:  # networks and repositories fail in their own ways
        raise InputError(
            f"audb cannot load {selection.database} ({_first_line(error)}); see audb.available()"
        ) from None
    assert db is not None
    return db


def _label_tables(
    db: "audformat.Database", selection: Selection, folder: Path
) -> list[tuple[str, str]]:
    """The tables of labels, each with its column."""
    names = selection.table or tuple(db.tables)
    for name in names:
        if name not in db.tables:
            raise InputError(f"{folder} has no table {name!r}; tables: {', '.join(db.tables)}")
    found = []
    for name in names:
        column = _column(db, name, selection.label, LABELS)
        if column is not None:
            found.append((name, column))
    if not found:
        wanted = selection.label or " or ".join(LABELS[:2])
        columns = sorted({column for name in names for column in db.tables[name].columns})
        raise InputError(
            f"{folder} has no column {wanted}; name one of {', '.join(columns) or 'none'} "
            "(corpus.audformat.label)"
        )
    if len(found) > 1 and not selection.table:
        # one table with everything, or the parts of a split
        parts = [(name, column) for name, column in found if db.tables[name].split_id]
        if len(parts) < 2:
            raise InputError(
                f"{folder} has labels in several tables ({', '.join(n for n, _ in found)}); name "
                "the one that is meant (corpus.audformat.table)"
            )
        found = parts
    return found


def _column(
    db: "audformat.Database", table: str, given: str | None, known: Sequence[str]
) -> str | None:
    """The column of a table that is called, or whose scheme is called, one of some names."""
    columns = db.tables[table].columns
    for name in (given,) if given else known:
        for column in columns:
            if column == name or columns[column].scheme_id == name:
                return str(column)
    return None


def _of_files(
    db: "audformat.Database",
    given: str | None,
    known: Sequence[str],
    what: str,
    folder: Path,
) -> dict[tuple[str, float, float], str]:
    """What the first tables with such a column say of files or segments."""
    found: dict[tuple[str, float, float], str] = {}
    for table in db.tables:
        column = _column(db, table, given, known)
        if column is not None:
            for key, value in _segments(db, table, column):
                if value is not None:
                    found.setdefault(key, value)
    if not found:
        raise InputError(
            f"{folder} has no column {given or ' or '.join(known)} that says the {what}; name one "
            f"(corpus.audformat.{what})"
        )
    return found


def _segments(
    db: "audformat.Database", table: str, column: str
) -> list[tuple[tuple[str, float, float], str | None]]:
    """A column of a table: file, start and end in seconds (0 and inf: all of it), and the value."""
    values = db.tables[table].df[column]
    index = values.index
    if "start" in index.names:
        files = index.get_level_values("file").tolist()
        starts = index.get_level_values("start").total_seconds().tolist()
        ends = index.get_level_values("end").total_seconds().tolist()
    else:
        files = index.tolist()
        starts, ends = [0.0] * len(files), [float("nan")] * len(files)
    return [
        ((str(file), float(start), float("inf") if end != end else float(end)), _text(value))
        for file, start, end, value in zip(files, starts, ends, values.tolist(), strict=True)
    ]


def _text(value: Any) -> str | None:
    """A value as text, a whole number without a fraction; None for nothing."""
    import pandas as pd

    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _genders(db: "audformat.Database") -> dict[str, str]:
    """The speakers' genders, where the scheme of speakers or its table says them."""
    found: dict[str, str] = {}
    for name in SPEAKERS:
        if name not in db.schemes:
            continue
        labels = db.schemes[name].labels
        if isinstance(labels, str) and labels in db.misc_tables:
            frame = db.misc_tables[labels].df
            if "gender" in frame:
                labels = {key: {"gender": value} for key, value in frame["gender"].items()}
        if isinstance(labels, Mapping):
            for speaker, about in labels.items():
                gender = about.get("gender") if isinstance(about, Mapping) else None
                found[str(speaker)] = GENDERS.get(str(gender).lower(), "")
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
