"""Write a dialogue down as the release does: `dialog/transcriptions` and `dialog/EmoEvaluation`.

What makes the release hard to read is kept, so that its reader is exercised by every demo: lines
without an id, `XX` ids, some files with CRLF and some with neighbouring lines exchanged,
evaluations sorted by name instead of time, evaluators' own lines between the summaries.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.corpora.demo.plan import Dialogue, PlannedTurn

CATEGORIES = {
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "neu": "Neutral state",
    "sad": "Sadness",
    "fru": "Frustration",
    "sur": "Surprise",
}
# valence, activation, dominance on the release's scale of 1 … 5
DIMENSIONS = {
    "ang": (1.9, 3.7, 3.9),
    "hap": (3.9, 3.1, 3.1),
    "exc": (3.9, 3.6, 3.3),
    "neu": (2.9, 2.7, 2.9),
    "sad": (2.2, 2.3, 2.6),
    "fru": (2.3, 3.0, 3.2),
    "sur": (3.1, 3.3, 2.7),
}
EVALUATORS = ("E1", "E3", "E4")


def turn_ids(dialogue: Dialogue) -> list[str]:
    """`Ses01F_impro01_M003`: dialogue, speaker, and the number of the speaker's turn."""
    spoken: Counter[str] = Counter()
    names = []
    for turn in dialogue.turns:
        names.append(f"{dialogue.name}_{turn.speaker}{spoken[turn.speaker]:03d}")
        spoken[turn.speaker] += 1
    return names


def write_annotations(session: Path, dialogue: Dialogue, seconds: Sequence[float]) -> None:
    """Write the two files of a dialogue below `session`; seconds: the length of each turn."""
    times = _times(dialogue, seconds)
    digest = sum(dialogue.name.encode())  # which of the release's quirks this dialogue has
    lines = _transcription(dialogue, times, exchanged=digest % 4 == 0)
    _write(session / "dialog" / "transcriptions", dialogue, lines, crlf=digest % 3 == 0)
    lines = _evaluation(dialogue, times)
    _write(session / "dialog" / "EmoEvaluation", dialogue, lines, crlf=digest % 5 == 0)


def _times(dialogue: Dialogue, seconds: Sequence[float]) -> list[tuple[float, float]]:
    """(start, end) of every turn; starts increase, neighbours may overlap."""
    times: list[tuple[float, float]] = []
    start = end = 0.0
    for turn, length in zip(dialogue.turns, seconds, strict=True):
        start = max(end + turn.pause, start + 0.1)
        end = start + length
        times.append((start, end))
    return times


def _transcription(
    dialogue: Dialogue, times: Sequence[tuple[float, float]], *, exchanged: bool
) -> list[str]:
    lines: list[str] = []
    strangers: Counter[str] = Counter()
    for name, turn, (start, end) in zip(turn_ids(dialogue), dialogue.turns, times, strict=True):
        lines.append(f"{name} [{start:08.4f}-{end:08.4f}]: {turn.text}")
        extra = turn.after
        if extra is None:
            continue
        if extra.has_id:
            number = strangers[extra.speaker]
            strangers[extra.speaker] += 1
            place = f"[{end:08.4f}-{end + 0.4:08.4f}]"
            lines.append(f"{dialogue.name}_{extra.speaker}XX{number} {place}: {extra.text}")
        else:
            lines.append(f"{extra.speaker}: {extra.text}")
    if exchanged:
        for at in range(6, len(lines) - 1, 9):
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return lines


def _evaluation(dialogue: Dialogue, times: Sequence[tuple[float, float]]) -> list[str]:
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    rows = zip(turn_ids(dialogue), dialogue.turns, times, strict=True)
    for name, turn, (start, end) in sorted(rows, key=lambda row: row[0]):
        generator = np.random.default_rng(list(name.encode()))
        votes = _votes(turn, generator)
        spread = generator.integers(-1, 2, size=(len(EVALUATORS), 3))
        points = np.clip(np.round(np.array(DIMENSIONS[turn.emotion]) + 0.6 * spread), 1, 5)
        valence, activation, dominance = points.mean(axis=0)
        lines.append(
            f"[{start:.4f} - {end:.4f}]\t{name}\t{turn.label}\t"
            f"[{valence:.4f}, {activation:.4f}, {dominance:.4f}]"
        )
        lines += [
            f"C-{evaluator}:\t{vote};\t()"
            for evaluator, vote in zip(EVALUATORS, votes, strict=True)
        ]
        lines += [
            f"A-{evaluator}:\tval {v:.0f}; act {a:.0f}; dom  {d:.0f};\t()"
            for evaluator, (v, a, d) in zip(EVALUATORS, points, strict=True)
        ]
        lines.append("")
    return lines


def _votes(turn: PlannedTurn, generator: np.random.Generator) -> list[str]:
    """What each evaluator called the turn: three different things where the label is xxx."""
    others = [name for key, name in CATEGORIES.items() if key != turn.emotion]
    drawn = [str(name) for name in generator.choice(others, size=2, replace=False)]
    first = CATEGORIES[turn.emotion]
    return [first, *drawn] if turn.label == "xxx" else [first, first, drawn[0]]


def _write(folder: Path, dialogue: Dialogue, lines: Sequence[str], *, crlf: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    end = "\r\n" if crlf else "\n"
    (folder / f"{dialogue.name}.txt").write_bytes((end.join(lines) + end).encode())
