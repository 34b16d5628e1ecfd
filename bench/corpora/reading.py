"""Reading a corpus by the name of its layout."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from activations.errors import InputError
from bench.corpora.audformat_database import Selection, read_audformat
from bench.corpora.corpus import Corpus
from bench.corpora.iemocap import read_iemocap
from bench.corpora.layouts import Layout, layouts
from bench.corpora.manifest import read_manifest
from bench.corpora.named_files import read_named_files
from bench.corpora.names import check_encoding

FILES = "files"  # the format whose pattern the user gives
AUDFORMAT = "audformat"
READERS: dict[str, Callable[..., Corpus]] = {"iemocap": read_iemocap, "manifest": read_manifest}


def formats() -> tuple[str, ...]:
    """The names of all layouts."""
    return (*READERS, AUDFORMAT, *layouts(), FILES)


def check_format(name: str, *others: str) -> str:
    """The name, if it is a layout's or one of `others`. Raises InputError where it is none."""
    known = (*formats(), *others)
    if name not in known:
        close = get_close_matches(name.lower(), known, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise InputError(f"no corpus format {name!r}.{meant} Formats: {', '.join(known)}")
    return name


def read_corpus(
    root: Path | str,
    format: str = "iemocap",  # noqa: A002
    *,
    pattern: Layout | None = None,
    selection: Selection | None = None,
    strict: bool = True,
) -> Corpus:
    """Read the corpus in a folder that is laid out as `format` says (one of `formats()`).

    pattern: how its files are named, for the format "files". selection: what is taken of an
    audformat database. strict: refuse missing or broken
    audio; otherwise the corpus lists it in `faults`.
    Raises InputError naming what is wrong and what to do about it.
    """
    root = Path(root)
    check_encoding(root.absolute())
    if check_format(format) == FILES:
        if pattern is None:
            raise InputError(
                "the format 'files' needs a pattern; put corpus.pattern into a study "
                "(docs/corpora.md)"
            )
        return read_named_files(root, pattern, strict=strict)
    if format == AUDFORMAT:
        return read_audformat(root, selection or Selection(), strict=strict)
    if format in READERS:
        return READERS[format](root, strict=strict)
    return read_named_files(root, layouts()[format], strict=strict)
