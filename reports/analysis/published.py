"""Published figures, for context beside our own: each with the protocol that made it."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class PublishedSystem:
    """A system's published scores on IEMOCAP with four classes, in percent."""

    name: str
    uar: float
    war: float
    protocol: str
    source: str


def published_systems() -> list[PublishedSystem]:
    """The systems of published.toml, in its order."""
    text = files("reports.analysis").joinpath("published.toml").read_text(encoding="utf-8")
    return [PublishedSystem(**entry) for entry in tomllib.loads(text)["system"]]
