"""IEMOCAP's annotation files: one of evaluations and one of transcriptions for each dialogue.

- `dialog/EmoEvaluation/*.txt` has a summary line for each turn and evaluators' lines in between,
  whose remarks may run over several lines.
- Whatever does not parse is named by file and line: a line passed over is an utterance lost.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from activations.errors import InputError
from activations.files import file_bytes
from bench.corpora.names import nfc

LABELS = frozenset({"ang", "hap", "exc", "neu", "sad", "fru", "fea", "sur", "dis", "oth", "xxx"})
MOST_BYTES = 10_000_000  # of an annotation file: the release's largest has 40 kB

ID = re.compile(r"(Ses\d\d)[FM]_\w+_([FM])\w+", re.ASCII)
_DIALOG = re.compile(r"Ses\d\d[FM]_\w+", re.ASCII)
_NUMBER = r"(\d+(?:\.\d+)?)"
_SUMMARY = re.compile(
    rf"\[\s*{_NUMBER}\s*-\s*{_NUMBER}\s*\]\s+(\S+)\s+(\S+)\s+"
    rf"\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]",
    re.ASCII,
)
_EVALUATOR = re.compile(r"[A-Za-z][\w-]*\s*:")  # C-E2: …, A-F1: …
_TRANSCRIPT = re.compile(r"(Ses\w+)\s*\[[^\]]*\]\s*:?\s*(.*)")


@dataclass(frozen=True)
class Turn:
    """One evaluated turn; start and end in seconds of the dialogue, dimensions from 1 to 5."""

    id: str
    start: float
    end: float
    label: str
    valence: float
    activation: float
    dominance: float


def read_evaluation(path: Path) -> Iterator[Turn]:
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
            valence, activation, dominance = (float(text) for text in match.group(5, 6, 7))
            if ID.fullmatch(name) is None:
                _refuse(path, number, name, "a turn like Ses01F_impro01_M003")
            if name in seen:
                _refuse(path, number, name, "a new turn (it is evaluated twice)")
            seen.add(name)
            if label not in LABELS:
                _refuse(path, number, label, f"an emotion ({' '.join(sorted(LABELS))})")
            if float(end) <= float(start):
                _refuse(path, number, line, "a turn that ends after its start")
            yield Turn(name, float(start), float(end), label, valence, activation, dominance)
            in_remark = False
        else:
            in_remark = line.rfind("(") > line.rfind(")") or (in_remark and ")" not in line)


def read_transcript(path: Path) -> dict[str, str]:
    """The words by id, in the order of the lines, without remarks (`M: …`) and `XX` ids."""
    texts: dict[str, str] = {}
    for number, line in _lines(path):
        if not line.startswith("Ses"):
            continue
        match = _TRANSCRIPT.fullmatch(line)
        if match is None:
            _refuse(path, number, line, "a line 'TURN [START-END]: words'")
        if "XX" not in match[1]:
            texts.setdefault(match[1], nfc(match[2].strip()))
    return texts


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1, stripped; CRLF and odd bytes are taken as they come."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is no annotation file: it has more than {MOST_BYTES:,} bytes")
        text = file_bytes(path).decode("utf-8-sig", errors="replace")
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


def texts_of(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The text files of a folder by their dialogue, and those that are no dialogue's.

    Copies made on a Mac bring `._` files along, others `Ses01F_impro01 (1).txt`.
    """
    found = sorted(
        path for path in folder.glob("*.txt") if not path.name.startswith(".") and path.is_file()
    )
    ours = {path.stem: path for path in found if _DIALOG.fullmatch(path.stem)}
    return ours, [path for path in found if path.stem not in ours]
