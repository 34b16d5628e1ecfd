"""Errors that are written for the person who caused them: what, where, what to do."""

import unicodedata

_DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"


class GateswapError(Exception):
    """Something that a person has to know about; the message is whole and fits on one line."""


class InputError(GateswapError):
    """What was typed, or a file that was named, is not what it has to be."""


def printable(text: str) -> str:
    """The text with what a terminal would obey, and what cannot be written, spelled out."""
    return "".join(
        character.encode("unicode_escape").decode() if _is_unseen(character) else character
        for character in text
    )


def one_line(text: str) -> str:
    """The text without line breaks, as `printable` spells it."""
    return printable(" ".join(text.split()))


def _is_unseen(character: str) -> bool:
    """Control characters, marks that change direction, halves of pairs; line breaks stay."""
    if character == "\n" or " " <= character <= "~":
        return False
    return unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTIONS


def on_one_line(error: Exception, most: int = 300) -> str:
    """An error of other code: its kind, and its message cut to `most` characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:most]}"
