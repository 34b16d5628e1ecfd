"""A corpus is one table with one row per utterance, whatever its files looked like.

- Row numbers are identities: features, contexts and folds refer to utterances by their row, so the
  order of the rows belongs to the content and to the fingerprint.
- Every turn of a dialogue is a row, also one whose label no protocol keeps: it may still be
  somebody's context.
- A corpus made by a synthesiser says so (`synthetic`), and everything that prints its numbers
  repeats it.
"""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from activations.wording import counted
from bench.corpora.digests import digests_of

if TYPE_CHECKING:  # half a second that a worker of a study has no use for
    import pandas as pd

COLUMNS = (
    "id",  # unique in the corpus
    "audio",  # absolute path of its file, which holds nothing else unless `segment` is True
    "start",  # seconds, in the dialogue (of a segment: in its file); NaN where unknown
    "end",  # seconds, in the dialogue (of a segment: in its file); NaN where unknown
    "speaker",  # unique in the corpus
    "dialog",  # the conversation the turn belongs to
    "turn",  # place in the dialogue, from 0
    "session",  # the recording session; the speaker where a corpus has none
    "label",  # as annotated; protocols choose and merge
    "text",  # what was said; "" where unknown
    "gender",  # "female", "male" or ""
    "improvised",  # True where the words were the speaker's own
)
OPTIONAL: dict[str, str | bool] = {
    "split": "",  # "train", "dev" or "test" of the corpus's own split, "" outside of it
    "segment": False,  # True where the utterance is cut out of a longer file, by start and end
}  # and what they are where a reader does not know
UNDIGESTED = (  # numbers that nothing is computed from; NaN where unknown
    "seconds",  # how long the utterance is, by its file's head
    "valence",
    "activation",
    "dominance",
)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Utterances of one corpus, with what is known of its flaws.

    table: one row per utterance with `COLUMNS`, `OPTIONAL` and `UNDIGESTED`, sorted by (dialog,
    turn), with the index 0 … n-1.
    placed: whether the place of an utterance's file below `root` is part of the content.
    digests: a database where hashes of files are kept, or None.
    problems: one sentence each; the corpus can be used, but it is not what it is said to be.
    notes: one sentence each, of what was found and is as it should be.
    lacking: those of the notes that every number of this copy must be told with: what it has not.
    faults: one sentence each; features cannot be computed until they are mended. Only a reader that
    is not strict returns a corpus with faults.
    Raises ValueError for a table that lacks a column, repeats an id or is not sorted.
    """

    name: str
    root: Path
    table: "pd.DataFrame"
    synthetic: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    placed: bool = False
    digests: Path | None = None

    def __post_init__(self) -> None:
        missing = [column for column in COLUMNS if column not in self.table.columns]
        if missing:
            raise ValueError(f"the table of corpus {self.name} lacks the columns {missing}")
        repeated = self.table["id"][self.table["id"].duplicated()]
        if len(repeated):
            raise ValueError(f"the table of corpus {self.name} repeats the id {repeated.iloc[0]}")
        places = list(zip(self.table["dialog"], self.table["turn"], strict=True))
        if places != sorted(set(places)):
            raise ValueError(
                f"the table of corpus {self.name} is not sorted by dialog and turn, or repeats one"
            )
        if list(self.table.index) != list(range(len(self.table))):
            raise ValueError(f"the index of the table of corpus {self.name} is not 0 … n-1")
        absent = [name for name in (*OPTIONAL, *UNDIGESTED) if name not in self.table]
        if absent:
            filled = self.table.copy()
            for name in absent:
                filled[name] = OPTIONAL.get(name, math.nan)
            object.__setattr__(self, "table", filled)

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def fingerprint(self) -> str:
        """Hash (32 hex digits) of the table and all audio, the same wherever the folder lies.

        Reads all audio once: a second per gigabyte that the system has cached.
        """
        digest = hashlib.blake2b(digest_size=16)
        content = self._content
        for row in self.table.itertuples(index=False):
            audio = str(row.audio)
            fields = [str(getattr(row, column)) for column in COLUMNS if column != "audio"]
            # what no reader knew of says nothing: a corpus without it keeps its fingerprint
            fields += [
                f"{column}={getattr(row, column)}"
                for column, default in OPTIONAL.items()
                if getattr(row, column) != default
            ]
            if self.placed:
                fields.append(_relative(Path(audio), self.root.absolute()))
            digest.update("\x1f".join(fields).encode())
            digest.update(bytes.fromhex(content[audio]))
        return digest.hexdigest()

    @cached_property
    def same_audio(self) -> tuple[tuple[int, ...], ...]:
        """Groups of rows whose audio is the same, byte by byte; rows that are alone are left out.

        Only files of equal size are read. A file that cannot be read is like no other.
        """
        sizes: dict[int, list[str]] = {}
        for audio in self.table["audio"].unique():
            with suppress(OSError, ValueError):
                sizes.setdefault(os.stat(audio).st_size, []).append(audio)
        alike = [
            audio
            for paths in sizes.values()
            for audio in paths
            if len(paths) > 1 and os.access(audio, os.R_OK)
        ]
        content = digests_of(alike, self.digests)
        groups: dict[tuple[object, ...], list[int]] = {}
        columns = (self.table[name].tolist() for name in ("audio", "segment", "start", "end"))
        for row, (audio, segment, start, end) in enumerate(zip(*columns, strict=True)):
            stretch = (str(start), str(end)) if segment else ()
            groups.setdefault((content.get(audio, audio), *stretch), []).append(row)
        return tuple(tuple(rows) for rows in groups.values() if len(rows) > 1)

    @property
    def stretches(self) -> list[tuple[float | None, float | None]]:
        """Of each row the seconds of its file between which the utterance lies.

        None stands for the file's beginning or end, and both for a file that holds nothing else.
        """
        columns = (self.table[name].tolist() for name in ("segment", "start", "end"))
        return [
            (
                None if not segment or math.isnan(start) else float(start),
                None if not segment or math.isnan(end) else float(end),
            )
            for segment, start, end in zip(*columns, strict=True)
        ]

    @cached_property
    def _content(self) -> Mapping[str, str]:
        return digests_of((str(path) for path in self.table["audio"]), self.digests)

    @property
    def hours(self) -> float:
        """Hours of speech, by the heads of the files; NaN where no reader looked at them."""
        seconds = float(self.table["seconds"].sum(min_count=1))
        return seconds / 3600

    @property
    def labels(self) -> dict[str, int]:
        """How often each label was given, most frequent first (ties by name)."""
        counts = Counter(self.table["label"])
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def hours_of(table: "pd.DataFrame") -> str:
    """How much speech a table with `seconds` has, as a sentence."""
    hours = float(table["seconds"].sum()) / 3600
    length = f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
    return f"{length} of speech in {counted(len(table), 'utterance')}"


def _relative(path: Path, root: Path) -> str:
    """The path below the root, in POSIX form; the name alone for a file that lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
