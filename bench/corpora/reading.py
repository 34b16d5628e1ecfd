"""Reading a corpus by the name of its layout."""

from pathlib import Path

from activations.errors import InputError
from bench.corpora.corpus import Corpus
from bench.corpora.iemocap import read_iemocap
from bench.corpora.manifest import read_manifest

FORMATS = {"iemocap": read_iemocap, "manifest": read_manifest}


def read_corpus(root: Path | str, format: str = "iemocap", *, strict: bool = True) -> Corpus:  # noqa: A002
    """Read the corpus in a folder that is laid out as `format` says (one of `FORMATS`).

    strict: refuse missing or broken audio; otherwise the corpus lists it in `faults`.
    Raises InputError naming what is wrong and what to do about it.
    """
    if format not in FORMATS:
        raise InputError(f"no corpus format {format!r}; formats: {', '.join(FORMATS)}")
    return FORMATS[format](Path(root), strict=strict)
