"""Errors that are written for the person who caused them: what, where, what to do."""


class GateswapError(Exception):
    """Something that a person has to know about; the message is whole and fits on one line."""


class InputError(GateswapError):
    """What was typed, or a file that was named, is not what it has to be."""


def on_one_line(error: Exception, most: int = 300) -> str:
    """An error of other code: its kind, and its message cut to `most` characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:most]}"
