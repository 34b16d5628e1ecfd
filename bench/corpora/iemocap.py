"""IEMOCAP as it is distributed: `SessionN/{dialog,sentences}`, one annotation file per dialogue.

- Speakers are read from the id's last field. `Ses01F_impro01_M003`: the letter after the session
  says who wears the motion markers, the one in the last field who speaks. Taking the first
  mislabels half of the speakers, and then puts the same speaker on both sides of a speaker-wise
  split.
- Turns are ordered as the authors of IAAN did (30stomercury/Interaction-Aware-Attention-Network,
  data.py, `generate_dialog_order`): by the lines of `dialog/transcriptions`, without those that
  have no id (`M: …`) or an `XX` id; in session 2 by (start time, id).
- The counts of the real release are known, so an incomplete copy is told apart from a complete one.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from activations.errors import InputError
from activations.files import file_text
from activations.wording import counted
from bench.corpora.checks import check_audio
from bench.corpora.corpus import Corpus, hours_of
from bench.corpora.iemocap_annotations import ID, Turn, read_evaluation, read_transcript, texts_of

if TYPE_CHECKING:
    import pandas as pd

SYNTHETIC_MARKER = "SYNTHETIC.json"  # in the root of a corpus that a synthesiser spoke
MOST_MARKER = 100_000  # bytes

FOUR_CLASSES = frozenset({"ang", "hap", "exc", "neu", "sad"})
# four-class utterances by session, exc counted as hap: 5,531 (every paper's number)
RELEASE_COUNTS = {"Ses01": 1085, "Ses02": 1023, "Ses03": 1151, "Ses04": 1031, "Ses05": 1241}
RELEASE_TURNS = 10_039  # evaluated turns of any label
ORDERED_BY_START = frozenset({"Ses02"})

_SESSION = re.compile(r"Session\d+", re.ASCII)


def read_iemocap(root: Path, *, strict: bool = True) -> Corpus:
    """Read a copy of IEMOCAP; `root` may also be a folder one or two levels above, or one below.

    Where `sentences/wav` lacks a dialogue, its turns are cut out of the stereo `dialog/wav`.
    strict: refuse a corpus with missing or broken audio; otherwise list it in `faults`. That the
    counts differ from the release's is listed in `problems`, unless the corpus is marked as
    synthetic by a file `SYNTHETIC.json`.
    Raises InputError for a folder that is missing, empty or no IEMOCAP, for an annotation line that
    does not parse (file:line) and, when strict, for audio that cannot be used.
    """
    import pandas as pd

    root = _find_root(root)
    gaps = _Gaps(root)
    rows: list[dict[str, object]] = []
    for session in _sessions(root):
        rows += _read_session(session, gaps)
    if not rows:
        raise InputError(f"{root}: no turn is annotated; copy dialog/EmoEvaluation again")
    table = pd.DataFrame(rows).sort_values(["dialog", "turn"]).reset_index(drop=True)
    repeated = table["id"][table["id"].duplicated()]
    if len(repeated):
        raise InputError(f"{root}: {repeated.iloc[0]} is evaluated twice; remove one of the lines")
    marker = root / SYNTHETIC_MARKER
    synthetic = marker.is_file()
    checked = check_audio(table, root)
    table["seconds"] = checked.seconds
    found = _four_class_counts(table[checked.usable])
    expected = _four_class_counts(table) if synthetic else RELEASE_COUNTS
    counted = f"{sum(found.values()):,} of {sum(expected.values()):,} four-class utterances found"
    if strict:
        checked.refuse_faults(f"{root}: {counted};", _remedy(synthetic))
    problems, notes = gaps.problems, [*gaps.notes, hours_of(table)]
    if not synthetic:
        differing = _differing(found, len(table))
        if differing:
            problems.insert(0, f"{counted} ({differing}): not the release of the papers")
        else:
            notes.insert(
                0,
                f"complete: all {RELEASE_TURNS:,} turns of the release, {sum(found.values()):,} of "
                "its four classes",
            )
    lacking = tuple(_sessions_missing(table))
    return Corpus(
        name=_synthetic_name(marker) if synthetic else "IEMOCAP",
        root=root,
        table=table,
        synthetic=synthetic,
        problems=tuple(problems),
        notes=(*lacking, *notes),
        lacking=lacking,
        faults=checked.faults,
        placed=True,
    )


class _Gaps:
    """What a copy lacks and can do without, said once for each kind."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._noted: dict[str, list[str]] = {}
        self.cut = 0  # turns that are cut out of dialog/wav

    def add(self, kind: str, path: Path) -> None:
        """A file of a kind: "{}" in it stands for the files."""
        self._noted.setdefault(kind, []).append(path.relative_to(self._root).as_posix())

    @property
    def problems(self) -> list[str]:
        """A sentence for each kind, naming the first."""
        return [
            kind.format(names[0] + (f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""))
            for kind, names in self._noted.items()
        ]

    @property
    def notes(self) -> list[str]:
        """What was made up for."""
        return [
            f"{counted(self.cut, 'utterance is', 'utterances are')} cut out of dialog/wav, "
            "both channels mixed"
        ] * bool(self.cut)


def _find_root(folder: Path) -> Path:
    """The folder that holds Session1 …: this one, one or two levels below it, or the one above."""
    if not folder.exists():
        raise InputError(
            f"{folder} does not exist; give the folder of IEMOCAP that holds Session1, or make a "
            f"synthetic one: gateswap corpus demo {folder}"
        )
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder of IEMOCAP that holds Session1")
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir())
        above = [folder.resolve().parent] if _SESSION.fullmatch(folder.resolve().name) else []
        for level in ([folder], above, below, _folders_of(below)):
            found = [path for path in level if _sessions(path)]
            if len(found) > 1:
                raise InputError(
                    f"{folder} holds several releases: {', '.join(map(str, found[:3]))}; give one"
                )
            if found:
                return found[0]
        manifests = sorted(folder.glob("manifest.*"))
        what = "is empty" if not any(folder.iterdir()) else "holds no folder Session1"
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); check its rights") from None
    if manifests:
        raise InputError(
            f"{folder} {what}, but {manifests[0].name}; read it with --format manifest "
            "(in a study: corpus.format: manifest)"
        )
    raise InputError(
        f"{folder} {what}; give the folder of IEMOCAP that holds Session1, another --format, or "
        f"make a synthetic one in an empty folder: gateswap corpus demo {folder}"
    )


def _folders_of(folders: Sequence[Path]) -> list[Path]:
    """The folders in some folders; those that cannot be read have none."""
    found: list[Path] = []
    for folder in folders:
        try:
            found += [path for path in folder.iterdir() if path.is_dir()]
        except OSError:
            continue
    return sorted(found)


def _sessions(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("Session*") if _SESSION.fullmatch(path.name))


def _read_session(session: Path, gaps: _Gaps) -> Iterator[dict[str, object]]:
    """The rows of one session; flaws that leave it usable are added to `gaps`."""
    evaluations = session / "dialog" / "EmoEvaluation"
    files, others = texts_of(evaluations)
    if not files:
        raise InputError(
            f"{evaluations} {'holds no annotations' if evaluations.is_dir() else 'is missing'}; "
            "copy the release's again (one text file per dialogue)"
        )
    folder = session / "dialog" / "transcriptions"
    transcripts, more = texts_of(folder)
    for path in (*others, *more):
        gaps.add("{} is not named as a dialogue and is not read", path)
    for stem in sorted(transcripts.keys() - files.keys()):
        gaps.add("{} is missing", evaluations / f"{stem}.txt")
    for stem, path in files.items():
        turns = {turn.id: turn for turn in read_evaluation(path)}
        if not turns:
            gaps.add("{} has no turn", path)
        texts = read_transcript(transcripts[stem]) if stem in transcripts else {}
        order = [name for name in texts if name in turns]
        if stem not in transcripts:
            gaps.add("{} is missing: turns are ordered by start time", folder / f"{stem}.txt")
        elif len(order) < len(turns):
            absent = next(name for name in turns if name not in texts)
            gaps.add(
                f"{{}} lacks {absent}: the dialogue's turns are ordered by start time",
                transcripts[stem],
            )
        if len(order) < len(turns) or stem[:5] in ORDERED_BY_START:
            order = sorted(turns, key=lambda name: (turns[name].start, name))
        for place, name in enumerate(order):
            yield _row(session, stem, turns[name], place, texts.get(name, ""), gaps)


def _row(
    session: Path, dialog: str, turn: Turn, place: int, text: str, gaps: _Gaps
) -> dict[str, object]:
    match = ID.fullmatch(turn.id)
    assert match is not None  # read_evaluation let no other id pass
    folder = session / "sentences" / "wav" / turn.id.rsplit("_", 1)[0]
    audio, whole = folder / f"{turn.id}.wav", session / "dialog" / "wav" / f"{dialog}.wav"
    segment = not folder.is_dir() and whole.is_file()
    gaps.cut += segment
    return {
        "id": turn.id,
        "audio": str((whole if segment else audio).absolute()),
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
        "segment": segment,
        "valence": turn.valence,
        "activation": turn.activation,
        "dominance": turn.dominance,
    }


def _four_class_counts(table: "pd.DataFrame") -> dict[str, int]:
    kept = table["session"][table["label"].isin(list(FOUR_CLASSES))]
    return {str(name): int(n) for name, n in kept.value_counts().sort_index().items()}


def _sessions_missing(table: "pd.DataFrame") -> Iterator[str]:
    """A sentence where there are fewer than the release's five sessions."""
    present = set(table["session"])
    missing = sorted(RELEASE_COUNTS.keys() - present)
    if missing:
        yield (
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: {len(present)} "
            f"of {len(RELEASE_COUNTS)} sessions, so there are as many fewer folds by session"
        )


def _differing(found: dict[str, int], turns: int) -> str:
    """Where a copy's counts are not the release's: by session, or else in turns; "" where equal."""
    differing = [
        f"{name} {'is missing' if name not in found else f'{found[name]:,}'}"
        f"{f' of {RELEASE_COUNTS[name]:,}' if name in found and name in RELEASE_COUNTS else ''}"
        for name in sorted(found.keys() | RELEASE_COUNTS.keys())
        if found.get(name) != RELEASE_COUNTS.get(name)
    ]
    if not differing and turns != RELEASE_TURNS:
        differing = [f"{turns:,} of {RELEASE_TURNS:,} turns of any label"]
    return ", ".join(differing)


def _remedy(synthetic: bool) -> str:
    return (
        "remove the folder and make the demo corpus again"
        if synthetic
        else "copy it again from the release"
    )


def _synthetic_name(marker: Path) -> str:
    try:
        if marker.stat().st_size <= MOST_MARKER:
            name = json.loads(file_text(marker))["name"]
            if isinstance(name, str) and len(name) <= 200:
                return name
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # whoever wrote it, the corpus is said to be synthetic
    return "synthetic corpus"
