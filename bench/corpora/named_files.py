"""Corpora whose file names say everything, read by a layout: see layouts.toml.

- Every recording below the folder is looked at, wherever it lies: releases are unpacked in many
  ways, and Kaggle's copy of RAVDESS holds every file twice.
- A recording whose name does not fit is never dropped without a word.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from activations.errors import InputError
from activations.files import file_bytes
from activations.wording import counted
from bench.corpora.checks import check_audio
from bench.corpora.corpus import Corpus, hours_of
from bench.corpora.digests import file_digest
from bench.corpora.layouts import Annotations, Layout, fill
from bench.corpora.names import check_encoding, nfc
from bench.corpora.words import GENDERS, SPLITS

AUDIO = "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64 sph nist"
VIDEO = "m4a mp4 avi mkv webm aac wma"  # which soundfile does not read: named, not passed over
SUFFIXES = frozenset(f".{name}" for name in f"{AUDIO} {VIDEO}".split())
MOST_LINE = 100_000  # characters: what is longer is no annotation


def read_named_files(root: Path, layout: Layout, *, strict: bool = True) -> Corpus:
    """Read the corpus in `root` whose files are named as `layout` says.

    strict: refuse broken audio; otherwise list it in `faults`. Recordings that the layout does not
    fit, labels it does not know and annotations without a recording are problems.
    Raises InputError for a folder that is missing or holds no such recording.
    """
    import pandas as pd

    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise InputError(f"{root} {what}; give the folder of the recordings of {layout.title}")
    paths = list(_recordings(root))
    said = None if layout.annotations is None else _annotated(root, layout.annotations)
    problems: list[str] = []
    notes: list[str] = []
    rows: dict[str, dict[str, object]] = {}
    copies = 0
    strange: list[str] = []
    unannotated: list[str] = []
    matched: set[str] = set()
    for path in paths:
        check_encoding(path)
        name = path.relative_to(root.absolute()).as_posix()
        groups = layout.groups(nfc(name[: len(name) - len(path.suffix)]))
        if groups is None:
            strange.append(name)
            continue
        if layout.annotations is not None and said is not None:
            key = fill(layout.annotations.match, groups)
            if key not in said:
                unannotated.append(name)
                continue
            matched.add(key)
            groups |= said[key]
        row = _row(path, groups, layout)
        twin = rows.setdefault(str(row["id"]), row)
        if twin is not row:
            if not _same_bytes(Path(str(twin["audio"])), path):
                raise InputError(
                    f"{root}: {name} and {Path(str(twin['audio'])).relative_to(root.absolute())} "
                    f"are both {row['id']} and differ; remove one"
                )
            copies += 1
    if not rows:
        _refuse_empty(root, layout, paths, strange, unannotated)
    found = list(rows.values())
    unlike = f"not named as {layout.title} names them"
    problems += _named(strange, "recording is", "recordings are", unlike)
    unlisted = "no line in the annotations"
    problems += _named(unannotated, "recording has", "recordings have", unlisted)
    absent = sorted(set(said or {}) - matched)
    problems += _named(absent, "annotated recording is", "annotated recordings are", "missing")
    problems += _unknown(found, layout)
    if copies:
        there = counted(copies, "recording is", "recordings are")
        notes.append(f"{there} there twice, byte for byte: each counts once")
    if layout.utterances is not None:
        whole = "complete: " if len(found) == layout.utterances else ""
        notes.append(f"{whole}{len(found):,} of the release's {layout.utterances:,} recordings")
    table = pd.DataFrame(found).sort_values(["dialog", "turn"], kind="stable")
    table = table.reset_index(drop=True)
    checked = check_audio(table, root)
    table["seconds"] = checked.seconds
    notes.append(hours_of(table))
    if strict:
        checked.refuse_faults(f"{root}:", "copy it again or remove the file")
    return Corpus(
        name=layout.title.partition(" (")[0].partition(",")[0],
        root=root,
        table=table,
        problems=tuple(problems),
        notes=tuple(notes),
        faults=checked.faults,
    )


def _recordings(root: Path) -> Iterator[Path]:
    """The files below a folder that are called like audio or video, sorted, links followed."""
    seen: set[tuple[int, int]] = set()
    for folder, names, files in os.walk(root.absolute(), followlinks=True):
        about = os.stat(folder)
        if (about.st_dev, about.st_ino) in seen:  # a link to a folder that was walked already
            names.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        names[:] = sorted(name for name in names if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder) / name


def _row(path: Path, groups: Mapping[str, str], layout: Layout) -> dict[str, object]:
    """One row of the corpus; a value that the layout's map does not know stays as it is."""
    said = {name: fill(template, groups) for name, template in layout.templates.items()}
    speaker = said.get("speaker") or groups.get("speaker", "")
    name = said.get("id") or nfc(path.stem)
    gender = layout.genders.get(speaker) or GENDERS.get(groups.get("gender", "").lower(), "")
    if layout.speakers is not None:
        speaker = layout.speakers.get(speaker, speaker)
    turn = groups.get("turn", "0")
    split = groups.get("split", "")
    text = groups.get("text", "")
    return {
        "id": name,
        "audio": str(path),
        "start": float("nan"),
        "end": float("nan"),
        "speaker": speaker,
        "dialog": said.get("dialog") or groups.get("dialog") or name,
        "turn": int(turn) if turn.isdecimal() and len(turn) < 10 else 0,
        "session": said.get("session") or groups.get("session") or speaker,
        "label": (layout.labels or {}).get(groups.get("label", ""), groups.get("label", "")),
        "text": text if layout.texts is None else layout.texts.get(text, ""),
        "gender": gender,
        "improvised": False,
        "split": (layout.splits or {}).get(split, split),
    }


def _annotated(root: Path, annotations: Annotations) -> dict[str, dict[str, str]]:
    """What the annotation files say, by key: our columns' names to values."""
    files = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and annotations.name.groups(path.name) is not None
    ]
    if not files:
        raise InputError(
            f"{root}: no file is called {annotations.name.pattern}, which says the labels; copy it "
            "from the release"
        )
    said: dict[str, dict[str, str]] = {}
    for path in files:
        from_name = dict(annotations.name.groups(path.name) or {})
        rows = _lines(path, annotations) if annotations.line else _table(path, annotations)
        for row in rows:
            groups = from_name | row
            ours = {ours: groups.get(theirs, "") for ours, theirs in annotations.columns.items()}
            if annotations.line:
                ours |= row
            said[fill(annotations.key, groups)] = {k: nfc(v) for k, v in ours.items()}
    return said


def _lines(path: Path, annotations: Annotations) -> Iterator[dict[str, str]]:
    assert annotations.line is not None
    for line in _text(path).splitlines():
        found = annotations.line.groups(line.strip()) if len(line) < MOST_LINE else None
        if found is not None:
            yield dict(found)


def _table(path: Path, annotations: Annotations) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(_text(path).splitlines(keepends=True))
    lacking = [
        name for name in annotations.columns.values() if name not in (reader.fieldnames or ())
    ]
    if lacking:
        raise InputError(f"{path}, row 1: column {lacking[0]} is missing; copy the file again")
    try:
        for row in reader:
            yield {str(k): (v or "").strip() for k, v in row.items() if isinstance(v, str | None)}
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: {error}; copy the file again") from None


def _text(path: Path) -> str:
    try:
        data = file_bytes(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its rights") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # MELD's tables, as Excel wrote them


def _unknown(rows: list[dict[str, object]], layout: Layout) -> Iterator[str]:
    """Problems: labels and splits that the layout does not know."""
    maps = {"label": layout.labels, "split": layout.splits}
    for column, known in maps.items():
        allowed = set(known.values()) if known is not None else set()
        if column == "split":
            allowed |= set(SPLITS.values())
        elif known is None:
            continue
        counts = Counter(str(row[column]) for row in rows if row[column] not in allowed)
        for value, count in sorted(counts.items()):
            have = counted(count, "recording has", "recordings have")
            yield f"{have} a {column} that is not known: {value!r}"


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size and file_digest(one) == file_digest(other)
    except OSError:
        return False


def _named(names: list[str], one: str, many: str, what: str) -> list[str]:
    """One sentence for all of them, with the first by name; none where there are none."""
    return [f"{counted(len(names), one, many)} {what}, the first is {names[0]}"] if names else []


def _refuse_empty(
    root: Path, layout: Layout, paths: list[Path], strange: list[str], unannotated: list[str]
) -> NoReturn:
    if not paths:
        raise InputError(
            f"{root} holds no recording; give the folder of the recordings of {layout.title}"
        )
    if unannotated:
        raise InputError(
            f"{root}: no recording has a line in the annotations, not even {unannotated[0]}; copy "
            "both from one release"
        )
    raise InputError(
        f"{root}: none of {len(paths):,} recordings is named as {layout.title} names them, the "
        f"first is {strange[0]}; give another --format, or a pattern of your own in the study "
        "(docs/corpora.md)"
    )
