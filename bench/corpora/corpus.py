"""A corpus is one table with one row per utterance, whatever its files looked like.

- Row numbers are identities: features, contexts and folds refer to utterances by their row, so the
  order of the rows belongs to the content and to the fingerprint.
- Every turn of a dialogue is a row, also one whose label no protocol keeps: it may still be
  somebody's context.
- A corpus made by a synthesiser says so (`synthetic`), and everything that prints its numbers
  repeats it.
"""

import hashlib
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

COLUMNS = (
    "id",  # unique in the corpus
    "audio",  # absolute path of the file that holds this utterance and nothing else
    "start",  # seconds, in the dialogue; NaN where unknown
    "end",  # seconds, in the dialogue; NaN where unknown
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
}  # and what they are where a reader does not know


@dataclass(frozen=True, eq=False)
class Corpus:
    """Utterances of one corpus, with what is known of its flaws.

    table: one row per utterance with `COLUMNS` and `OPTIONAL`, sorted by (dialog, turn), with the
    index 0 … n-1.
    problems: one sentence each; the corpus can be used, but it is not what it is said to be.
    notes: one sentence each, of what was found and is as it should be.
    faults: one sentence each; features cannot be computed until they are mended. Only a reader that
    is not strict returns a corpus with faults.
    Raises ValueError for a table that lacks a column, repeats an id or is not sorted.
    """

    name: str
    root: Path
    table: pd.DataFrame
    synthetic: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

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
        absent = [name for name in OPTIONAL if name not in self.table]
        if absent:
            filled = self.table.copy()
            for name in absent:
                filled[name] = OPTIONAL[name]
            object.__setattr__(self, "table", filled)

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def fingerprint(self) -> str:
        """Hash (32 hex digits) of the table and all audio, the same wherever the folder lies.

        Reads all audio once: a second per gigabyte that the system has cached.
        """
        digest = hashlib.blake2b(digest_size=16)
        for row in self.table.itertuples(index=False):
            path = Path(str(row.audio))
            fields = [str(getattr(row, column)) for column in COLUMNS if column != "audio"]
            # what no reader knew of says nothing: a corpus without it keeps its fingerprint
            fields += [
                f"{column}={getattr(row, column)}"
                for column, default in OPTIONAL.items()
                if getattr(row, column) != default
            ]
            digest.update("\x1f".join([*fields, _relative(path, self.root)]).encode())
            digest.update(bytes.fromhex(file_digest(path)))
        return digest.hexdigest()

    @cached_property
    def same_audio(self) -> tuple[tuple[int, ...], ...]:
        """Groups of rows whose audio is the same, byte by byte; rows that are alone are left out.

        Only files of equal size are read. A file that cannot be read is like no other.
        """
        sizes: dict[int, list[str]] = {}
        for audio in self.table["audio"].unique():
            with suppress(OSError):
                sizes.setdefault(os.stat(audio).st_size, []).append(audio)
        content: dict[str, str] = {}
        for alike in (paths for paths in sizes.values() if len(paths) > 1):
            for audio in alike:
                with suppress(OSError):
                    content[audio] = file_digest(Path(audio))
        groups: dict[str, list[int]] = {}
        for row, audio in enumerate(self.table["audio"]):
            groups.setdefault(content.get(audio, audio), []).append(row)
        return tuple(tuple(rows) for rows in groups.values() if len(rows) > 1)

    @property
    def labels(self) -> dict[str, int]:
        """How often each label was given, most frequent first (ties by name)."""
        counts = Counter(self.table["label"])
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def file_digest(path: Path) -> str:
    """Hash (128 hex digits) of a file's bytes. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _relative(path: Path, root: Path) -> str:
    """The path below the root, in POSIX form; the name alone for a file that lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
