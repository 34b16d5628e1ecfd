"""What is in a corpus and what a protocol makes of it, counted for people and programs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from activations.errors import InputError
from bench.corpora.corpus import Corpus
from bench.data.examples import MISSING, build_examples
from bench.data.folds import Fold, each_fold
from bench.data.protocol import Protocol
from bench.data.review import class_counts, fold_notes, name_counts
from bench.data.suspicions import suspicions


def describe(corpus: Corpus, protocol: Protocol) -> dict[str, Any]:
    """What is in a corpus and what a protocol makes of it, as plain data for people and programs.

    `{name, synthetic, turns, labels, speakers, examples: {total, labels, sessions, speakers,
    own_missing, other_missing}, folds, protocol, notes, problems}`; labels, sessions and the
    examples' speakers map names to counts, the corpus's `speakers` each to their labels' counts,
    folds maps a fold's name to the sizes of its sides. Whatever is wrong is in `problems`.
    """
    problems = [*corpus.faults, *corpus.problems, *suspicions(corpus, protocol)]
    found: dict[str, Any] = {"total": 0, "own_missing": 0, "other_missing": 0}
    found |= {"labels": {}, "sessions": {}, "speakers": {}}
    folds: dict[str, dict[str, int]] = {}
    notes = [*corpus.notes]
    try:
        examples = build_examples(corpus, protocol)
        found = {
            "total": len(examples),
            "labels": class_counts(examples.labels, examples.classes),
            "sessions": name_counts(examples.session),
            "speakers": name_counts(examples.speaker),
            "own_missing": int((examples.own == MISSING).sum()),
            "other_missing": int((examples.other == MISSING).sum()),
        }

        def counted() -> Iterator[Fold]:
            for fold in each_fold(examples, protocol):
                sides = {"train": len(fold.train), "dev": len(fold.dev), "test": len(fold.test)}
                folds[fold.name] = sides
                yield fold

        notes += fold_notes(counted(), examples, protocol)
    except InputError as error:
        problems.append(str(error))
    return {
        "name": corpus.name,
        "synthetic": corpus.synthetic,
        "turns": len(corpus),
        "labels": corpus.labels,
        "speakers": _labels_of_speakers(corpus),
        "examples": found,
        "folds": folds,
        "protocol": protocol.as_dict(),
        "notes": notes,
        "problems": problems,
    }


def _labels_of_speakers(corpus: Corpus) -> dict[str, dict[str, int]]:
    """How often each speaker was given each label, as annotated."""
    counts = Counter(zip(corpus.table["speaker"], corpus.table["label"], strict=True))
    found: dict[str, dict[str, int]] = {}
    for (speaker, label), count in sorted(counts.items()):
        found.setdefault(speaker, {})[label] = count
    return found
