"""What is in a corpus and what a protocol makes of it, counted for people and programs."""

from collections import Counter
from typing import Any

import numpy as np

from activations.errors import InputError
from bench.corpora.corpus import Corpus
from bench.data.examples import MISSING, build_examples
from bench.data.folds import make_folds
from bench.data.protocol import Protocol


def describe(corpus: Corpus, protocol: Protocol) -> dict[str, Any]:
    """What is in a corpus and what a protocol makes of it, as plain data for people and programs.

    `{name, synthetic, turns, labels, speakers, examples: {total, labels, sessions, speakers,
    own_missing, other_missing}, folds, protocol, notes, problems}`; labels, sessions and the
    examples' speakers map names to counts, the corpus's `speakers` each to their labels' counts,
    folds maps a fold's name to the sizes of its sides. Whatever is wrong is in `problems`.
    """
    problems = [*corpus.faults, *corpus.problems]
    found: dict[str, Any] = {"total": 0, "own_missing": 0, "other_missing": 0}
    found |= {"labels": {}, "sessions": {}, "speakers": {}}
    folds: dict[str, dict[str, int]] = {}
    try:
        examples = build_examples(corpus, protocol)
        counts = np.bincount(examples.labels, minlength=len(examples.classes))
        found = {
            "total": len(examples),
            "labels": dict(zip(examples.classes, counts.tolist(), strict=True)),
            "sessions": _counts(examples.session),
            "speakers": _counts(examples.speaker),
            "own_missing": int((examples.own == MISSING).sum()),
            "other_missing": int((examples.other == MISSING).sum()),
        }
        folds = {
            fold.name: {"train": len(fold.train), "dev": len(fold.dev), "test": len(fold.test)}
            for fold in make_folds(examples, protocol)
        }
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
        "notes": list(corpus.notes),
        "problems": problems,
    }


def _labels_of_speakers(corpus: Corpus) -> dict[str, dict[str, int]]:
    """How often each speaker was given each label, as annotated."""
    counts = Counter(zip(corpus.table["speaker"], corpus.table["label"], strict=True))
    found: dict[str, dict[str, int]] = {}
    for (speaker, label), count in sorted(counts.items()):
        found.setdefault(speaker, {})[label] = count
    return found


def _counts(values: np.ndarray[Any, np.dtype[np.str_]]) -> dict[str, int]:
    names, counts = np.unique(values, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
