"""What in a corpus is probably not meant: names that are nearly one, audio that is there twice.

- A name with an accent in two Unicode forms was in training and in test; a label "Ang" lost eight
  utterances without a word. Such mistakes are cheap to find and change what a score means.
- They are only reported. Whether two Anns are one is for whoever knows them.
"""

from collections import Counter

from activations.wording import counted
from bench.corpora.corpus import Corpus
from bench.corpora.names import confusable, skeleton
from bench.data.protocol import Protocol

SHOWN = 3  # of each kind


def suspicions(corpus: Corpus, protocol: Protocol) -> list[str]:
    """Problems of a corpus under a protocol, a sentence each; [] for a corpus without any.

    Speakers, sessions and labels whose names differ only in what is easily mistyped; labels that
    are nearly a class of the protocol; the same audio under two speakers, labels, sessions or parts
    of the split.
    """
    return [*_alike(corpus), *_near_labels(corpus, protocol), *_same_audio(corpus)]


def _alike(corpus: Corpus) -> list[str]:
    found: list[str] = []
    reported: list[tuple[str, ...]] = []  # where speakers are sessions, both would be reported
    for column, plural in (("speaker", "speakers"), ("session", "sessions"), ("label", "labels")):
        groups = [
            group
            for group in confusable(str(name) for name in corpus.table[column].unique())
            if group not in reported
        ]
        reported += groups
        for group in groups[:SHOWN]:
            names = ", ".join(repr(name) for name in group)
            found.append(
                f"{len(group)} {plural} differ only in case, accents, spaces or invisible "
                f"characters: {names}"
            )
        if len(groups) > SHOWN:
            found.append(f"{len(groups) - SHOWN:,} more such groups of {plural}")
    return found


def _near_labels(corpus: Corpus, protocol: Protocol) -> list[str]:
    known = {*protocol.classes, *protocol.merge}
    plain = {skeleton(name): name for name in sorted(known)}
    found = []
    for label, count in corpus.labels.items():
        if label in known:
            continue
        own = skeleton(label)
        near = plain.get(own) or next((plain[name] for name in plain if _nearly(own, name)), None)
        if near is not None:
            found.append(
                f"{counted(count, 'utterance is', 'utterances are')} labelled {label!r}, which is "
                f"nearly {near!r}, and left out; protocol.merge: {{{label}: {near}}} takes them in"
            )
    return found


def _nearly(label: str, name: str) -> bool:
    """Whether one word is the other's beginning: "neutral" and "neu"."""
    shorter, longer = sorted((label, name), key=len)
    return len(shorter) >= 3 and longer.startswith(shorter)


def _same_audio(corpus: Corpus) -> list[str]:
    found = []
    table = corpus.table
    reported: set[tuple[int, ...]] = set()
    for column in ("speaker", "label", "session", "split"):
        values = table[column].tolist()
        mixed = [rows for rows in corpus.same_audio if len({values[row] for row in rows}) > 1]
        if column == "session":  # two speakers are in two sessions anyway
            mixed = [rows for rows in mixed if rows not in reported]
        reported |= set(mixed)
        if mixed:
            first = mixed[0]
            ids = ", ".join(str(table["id"][row]) for row in first[:SHOWN])
            kinds = ", ".join(repr(value) for value in Counter(values[row] for row in first))
            there = counted(len(mixed), "recording is", "recordings are")
            found.append(
                f"{there} there under several {column}s, byte for byte: "
                f"the first as {ids} ({kinds})"
            )
    return found
