"""Names are people: what is one name, and what only looks like two.

- Unicode writes an accent in two ways, and a Mac's file system changes one into the other. All
  names are composed (NFC), so that one speaker is one speaker.
- Names that differ only in case, accents, spaces or invisible characters are most often one name,
  mistyped: on two sides of a fold, such a speaker is tested on their own voice.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from activations.errors import InputError


def nfc(text: str) -> str:
    """The text in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def check_encoding(path: Path) -> None:
    """Raise InputError for a name that is not UTF-8, as old systems have: no table holds it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{path}: this name is not UTF-8; rename it (convmv renames whole folders)"
        ) from None


def skeleton(name: str) -> str:
    """What is left of a name without case, accents, spaces and characters that nobody sees."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(
        letter
        for letter in plain
        # vowel signs of Indic scripts are marks too, but they are no accents: they stay
        if unicodedata.category(letter)[0] not in "ZC" and not _is_accent(letter)
    )


def _is_accent(letter: str) -> bool:
    return "\u0300" <= letter <= "\u036f"


def confusable(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different names that are one when looked at loosely, sorted."""
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(skeleton(name), set()).add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def find_file(path: Path) -> Path:
    """The path as the disk has it: as given, or with its names in another Unicode form.

    The given one where none is there.
    """
    if str(path).isascii() or path.exists():
        return path
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        forms = dict.fromkeys([part, nfc(part), unicodedata.normalize("NFD", part)])
        found = next((found / form for form in forms if (found / form).exists()), found / part)
    return found if found.exists() else path
