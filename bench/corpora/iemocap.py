"""IEMOCAP as it is distributed: `SessionN/{dialog,sentences}`, one annotation file per dialogue.

- Speakers are read from the id's last field. `Ses01F_impro01_M003`: the letter after the session
  says who wears the motion markers, the one in the last field who speaks. Taking the first
  mislabels half of the speakers, and then puts the same speaker on both sides of a speaker-wise
  split.
- Turns are ordered as the authors of IAAN did (30stomercury/Interaction-Aware-Attention-Network,
  data.py, `generate_dialog_order`): by the lines of `dialog/transcriptions`, without those that
  have no id (`M: …`) or an `XX` id; in session 2 by (start time, id).
- The counts of the real release are known, so an incomplete copy is recognised.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pandas as pd

from activations.errors import InputError
from bench.corpora.audio import audio_fault
from bench.corpora.corpus import COLUMNS, Corpus

SYNTHETIC_MARKER = "SYNTHETIC.json"  # in the root of a corpus that a synthesiser spoke

FOUR_CLASSES = frozenset({"ang", "hap", "exc", "neu", "sad"})
# four-class utterances by session, exc counted as hap: 5,531 (every paper's number)
RELEASE_COUNTS = {"Ses01": 1085, "Ses02": 1023, "Ses03": 1151, "Ses04": 1031, "Ses05": 1241}
LABELS = FOUR_CLASSES | {"fru", "fea", "sur", "dis", "oth", "xxx"}
ORDERED_BY_START = frozenset({"Ses02"})

_SESSION = re.compile(r"Session\d+")
_NUMBER = r"(\d+(?:\.\d+)?)"
_SUMMARY = re.compile(
    rf"\[\s*{_NUMBER}\s*-\s*{_NUMBER}\s*\]\s+(\S+)\s+(\S+)\s+\[\s*{_NUMBER}(?:\s*,\s*{_NUMBER}){{2}}\s*\]"
)
_EVALUATOR = re.compile(r"[A-Za-z][\w-]*\s*:")  # C-E2: …, A-F1: …
_TRANSCRIPT = re.compile(r"(Ses\w+)\s*\[[^\]]*\]\s*:?\s*(.*)")
_ID = re.compile(r"(Ses\d\d)[FM]_\w+_([FM])\w+")


@dataclass(frozen=True)
class _Turn:
    """One evaluated turn; start and end in seconds of the dialogue."""

    id: str
    start: float
    end: float
    label: str


def read_iemocap(root: Path, *, strict: bool = True) -> Corpus:
    """Read a copy of IEMOCAP; `root` may also be the folder above or below the one with `Session1`.

    strict: refuse a corpus with missing or broken audio; otherwise list it in `faults`. That the
    counts differ from the release's is a problem listed in `problems`, unless the corpus is marked
    as synthetic by a file `SYNTHETIC.json`. Raises InputError for a folder that is missing, empty
    or no IEMOCAP, for an annotation line that does not parse (file:line) and, when strict, for
    audio that cannot be used.
    """
    root = _find_root(root)
    problems: list[str] = []
    rows: list[dict[str, object]] = []
    for session in _sessions(root):
        rows += _read_session(session, problems)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["dialog", "turn"])
    table = table.reset_index(drop=True)
    repeated = table["id"][table["id"].duplicated()]
    if len(repeated):
        raise InputError(f"{root}: {repeated.iloc[0]} is evaluated twice; remove one of the lines")
    marker = root / SYNTHETIC_MARKER
    synthetic = marker.exists()
    faults, usable = _audio_faults(root, table)
    found = _four_class_counts(table[usable])
    expected = _four_class_counts(table) if synthetic else RELEASE_COUNTS
    complete = f"{sum(found.values()):,} of {sum(expected.values()):,} four-class utterances found"
    if faults and strict:
        more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
        raise InputError(f"{root}: {complete}; {faults[0]}{more}; {_remedy(synthetic)}")
    if not synthetic and found != expected:
        differing = [
            f"{name} {found.get(name, 0):,} of {expected.get(name, 0):,}"
            for name in sorted(found.keys() | expected.keys())
            if found.get(name) != expected.get(name)
        ]
        problems.insert(0, f"{complete} ({', '.join(differing)}): not the release of the papers")
    return Corpus(
        name=_synthetic_name(marker) if synthetic else "IEMOCAP",
        root=root,
        table=table,
        synthetic=synthetic,
        problems=tuple(problems),
        faults=tuple(faults),
        placed=True,
    )


def _find_root(folder: Path) -> Path:
    """The folder that holds Session1 …: this one, one below it or the one above."""
    if not folder.exists():
        raise InputError(
            f"{folder} does not exist; give the folder of IEMOCAP that holds Session1, or make a "
            f"synthetic one: gateswap corpus demo {folder}"
        )
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder of IEMOCAP that holds Session1")
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    above = [folder.resolve().parent] if _SESSION.fullmatch(folder.resolve().name) else []
    for candidate in (folder, *below, *above):
        if _sessions(candidate):
            return candidate
    what = "is empty" if not any(folder.iterdir()) else "holds no folder Session1"
    raise InputError(
        f"{folder} {what}; give the folder of IEMOCAP that holds Session1, or make a synthetic one "
        f"in an empty folder: gateswap corpus demo {folder}"
    )


def _sessions(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("Session*") if _SESSION.fullmatch(path.name))


def _read_session(session: Path, problems: list[str]) -> Iterator[dict[str, object]]:
    """The rows of one session; flaws that leave it usable are added to `problems`."""
    evaluations = session / "dialog" / "EmoEvaluation"
    files = _texts(evaluations)
    if not files:
        raise InputError(
            f"{evaluations} {'holds no annotations' if evaluations.is_dir() else 'is missing'}; "
            "copy the release's again (one text file per dialogue)"
        )
    transcripts = _texts(session / "dialog" / "transcriptions")
    problems += [
        f"{session.name}/dialog/EmoEvaluation/{stem}.txt is missing"
        for stem in sorted(transcripts.keys() - files.keys())
    ]
    for stem, path in files.items():
        turns = {turn.id: turn for turn in _read_evaluation(path)}
        if stem in transcripts:
            texts = _read_transcript(transcripts[stem])
        else:
            texts = {}
            problems.append(
                f"{session.name}/dialog/transcriptions/{stem}.txt is missing: its turns are "
                "ordered "
                "by start time"
            )
        order = [name for name in texts if name in turns]
        if stem in transcripts and len(order) < len(turns):
            absent = next(name for name in turns if name not in texts)
            problems.append(
                f"{session.name}/dialog/transcriptions/{stem}.txt lacks {absent}: the dialogue's "
                "turns are ordered by start time"
            )
        if len(order) < len(turns) or stem[:5] in ORDERED_BY_START:
            order = sorted(turns, key=lambda name: (turns[name].start, name))
        for place, name in enumerate(order):
            yield _row(session, stem, turns[name], place, texts.get(name, ""))


def _row(session: Path, dialog: str, turn: _Turn, place: int, text: str) -> dict[str, object]:
    match = _ID.fullmatch(turn.id)
    assert match is not None  # _read_evaluation let no other id pass
    folder = session / "sentences" / "wav" / turn.id.rsplit("_", 1)[0]
    return {
        "id": turn.id,
        "audio": str((folder / f"{turn.id}.wav").absolute()),
        "start": turn.start,
        "end": turn.end,
        "speaker": match[1] + match[2],
        "dialog": dialog,
        "turn": place,
        "session": match[1],
        "label": turn.label,
        "text": text,
        "gender": "female" if match[2] == "F" else "male",
        "improvised": "_impro" in dialog,
    }


def _read_evaluation(path: Path) -> Iterator[_Turn]:
    """The turns of one file: its summary lines. Evaluators' lines are recognised and passed over.

    A remark of an evaluator may run over several lines, inside parentheses.
    """
    in_remark = False
    seen: set[str] = set()
    for number, line in _lines(path):
        if not line or line.startswith("%"):
            continue
        if line.startswith("[") or (not in_remark and not _EVALUATOR.match(line)):
            match = _SUMMARY.fullmatch(line)
            if match is None:
                _refuse(path, number, line, "a line '[START - END] TURN EMOTION [V, A, D]'")
            start, end, name, label = match.group(1, 2, 3, 4)
            if _ID.fullmatch(name) is None:
                _refuse(path, number, name, "a turn like Ses01F_impro01_M003")
            if name in seen:
                _refuse(path, number, name, "a new turn (it is evaluated twice)")
            seen.add(name)
            if label not in LABELS:
                _refuse(path, number, label, f"an emotion ({' '.join(sorted(LABELS))})")
            yield _Turn(name, float(start), float(end), label)
            in_remark = False
        else:
            in_remark = line.rfind("(") > line.rfind(")") or (in_remark and ")" not in line)


def _read_transcript(path: Path) -> dict[str, str]:
    """The words by id, in the order of the lines, without remarks (`M: …`) and `XX` ids."""
    texts: dict[str, str] = {}
    for number, line in _lines(path):
        if not line.startswith("Ses"):
            continue
        match = _TRANSCRIPT.fullmatch(line)
        if match is None:
            _refuse(path, number, line, "a line 'TURN [START-END]: words'")
        if "XX" not in match[1]:
            texts.setdefault(match[1], match[2].strip())
    return texts


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1, stripped; CRLF and odd bytes are taken as they come."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its rights") from error
    for number, line in enumerate(text.split("\n"), start=1):
        yield number, line.strip()


def _refuse(path: Path, number: int, found: str, wanted: str) -> NoReturn:
    shown = found if len(found) <= 60 else found[:57] + "…"
    raise InputError(
        f"{path}:{number}: {shown!r} is not {wanted}; copy the file again from the release or mend "
        "the line"
    )


def _texts(folder: Path) -> dict[str, Path]:
    """The text files of a folder by their stem; copies made on a Mac bring `._` files along."""
    found = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))
    return {path.stem: path for path in found if path.is_file()}


def _audio_faults(root: Path, table: pd.DataFrame) -> tuple[list[str], list[bool]]:
    """What is wrong with the audio, missing folders once, and for every row whether it is sound."""
    faults: dict[str, None] = {}
    usable: list[bool] = []
    for audio in table["audio"]:
        path = Path(audio)
        fault = audio_fault(path)
        usable.append(not fault)
        if fault:
            shown = path.parent if not path.parent.exists() else path
            faults[f"{shown.relative_to(root.absolute()).as_posix()} {fault}"] = None
    return list(faults), usable


def _four_class_counts(table: pd.DataFrame) -> dict[str, int]:
    kept = table["session"][table["label"].isin(list(FOUR_CLASSES))]
    return {str(name): int(n) for name, n in kept.value_counts().sort_index().items()}


def _remedy(synthetic: bool) -> str:
    return (
        "remove the folder and make the demo corpus again"
        if synthetic
        else "copy it again from the release"
    )


def _synthetic_name(marker: Path) -> str:
    try:
        return str(json.loads(marker.read_text(encoding="utf-8"))["name"])
    except (ValueError, KeyError, TypeError):
        return "synthetic corpus"
