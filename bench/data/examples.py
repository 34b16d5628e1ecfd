"""Examples: one decision each, about the current utterance, with two that came before it.

- The context rule is that of the network's authors
  (30stomercury/Interaction-Aware-Attention-Network, data.py, `generate_interaction_sample`): of the
  8 turns just before the current one, the latest of the same speaker and the latest of anyone else.
  The window counts turns of the dialogue, of both speakers and of any label (`xxx` too), so that a
  turn without a usable label is context and never an example.
- The order of turns is the corpus's business (`turn`); see corpora/iemocap.py for IEMOCAP's.
- A missing context is -1, which is empty (length 0) further on, not a row of zeros that looks like
  frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError
from bench.corpora.corpus import Corpus
from bench.data.protocol import Protocol

MISSING = -1
MOST_SHOWN = 12  # labels in a complaint
YAML_WORDS = frozenset(["yes", "no", "on", "off", "true", "false", "null", "y", "n"])


@dataclass(frozen=True, eq=False)
class Examples:
    """The utterances whose label the protocol keeps, in the corpus's order; all arrays are [E].

    ids, session, speaker, dialog: str. labels: int64 index into `classes`. current, own, other:
    int64 row numbers of `corpus.table` (own: the same speaker's last turn, other: another
    speaker's; -1: there is none). improvised: bool. split: str, the part of the corpus's own split
    ("" outside of it).
    parties: who speaks in each dialogue, also in turns that are no examples.
    """

    classes: tuple[str, ...]
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    current: NDArray[np.int64]
    own: NDArray[np.int64]
    other: NDArray[np.int64]
    session: NDArray[np.str_]
    speaker: NDArray[np.str_]
    dialog: NDArray[np.str_]
    improvised: NDArray[np.bool_]
    parties: Mapping[str, frozenset[str]] = field(default_factory=dict)
    split: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=np.str_))

    def __len__(self) -> int:
        return len(self.ids)


def build_examples(corpus: Corpus, protocol: Protocol) -> Examples:
    """The examples the protocol makes of a corpus.

    Raises InputError when it makes none.
    """
    table = corpus.table
    labels = [protocol.merge.get(label, label) for label in table["label"]]
    if not set(labels) & set(protocol.classes):
        shown = list(corpus.labels)[:MOST_SHOWN]
        more = f" and {len(corpus.labels) - len(shown):,} more" * (len(corpus.labels) > len(shown))
        quoted = any(label.lower() in YAML_WORDS or label.isdecimal() for label in shown)
        raise InputError(
            f"{corpus.root}: no utterance is labelled {', '.join(protocol.classes)}; labels: "
            f"{', '.join(shown)}{more}: name them in protocol.classes or protocol.merge"
            + (f', in quotes, as in classes: ["{shown[0]}", …]' if quoted else "")
        )
    own, other = _contexts(list(table["dialog"]), list(table["speaker"]), protocol.context_turns)
    class_of = {name: index for index, name in enumerate(protocol.classes)}
    rows = np.array([row for row, name in enumerate(labels) if name in class_of], dtype=np.int64)
    improvised = table["improvised"].to_numpy(dtype=np.bool_)
    if protocol.style != "all":
        if not improvised.any():
            raise InputError(
                f"{corpus.root}: protocol.style: {protocol.style} needs a corpus that says which "
                "utterances are improvised, and this one says it of none; leave it out"
            )
        rows = rows[improvised[rows] == (protocol.style == "improvised")]
        if not len(rows):
            raise InputError(
                f"{corpus.root}: no utterance of {', '.join(protocol.classes)} is "
                f"{protocol.style}; leave protocol.style out"
            )

    def text(column: str) -> NDArray[np.str_]:
        return table[column].to_numpy(dtype=np.str_)[rows]

    return Examples(
        classes=protocol.classes,
        ids=text("id"),
        labels=np.array([class_of[labels[row]] for row in rows], dtype=np.int64),
        current=rows,
        own=own[rows],
        other=other[rows],
        session=text("session"),
        speaker=text("speaker"),
        dialog=text("dialog"),
        improvised=improvised[rows],
        parties=_parties(list(table["dialog"]), list(table["speaker"])),
        split=text("split"),
    )


def _parties(dialogs: list[str], speakers: list[str]) -> dict[str, frozenset[str]]:
    """Who speaks in each dialogue; dialogs, speakers: [n]."""
    found: dict[str, set[str]] = {}
    for dialog, speaker in zip(dialogs, speakers, strict=True):
        found.setdefault(dialog, set()).add(speaker)
    return {dialog: frozenset(names) for dialog, names in found.items()}


def _contexts(
    dialogs: list[str], speakers: list[str], turns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every row [n], the latest row of the same and of another speaker among the `turns` before
    it, or -1.

    dialogs, speakers: [n], in the order of the turns; the rows of a dialogue follow one another.
    """
    own = np.full(len(dialogs), MISSING, dtype=np.int64)
    other = np.full(len(dialogs), MISSING, dtype=np.int64)
    for row, (dialog, speaker) in enumerate(zip(dialogs, speakers, strict=True)):
        for earlier in range(row - 1, max(row - turns, 0) - 1, -1):
            if dialogs[earlier] != dialog:
                break
            found = own if speakers[earlier] == speaker else other
            if found[row] == MISSING:
                found[row] = earlier
    return own, other
