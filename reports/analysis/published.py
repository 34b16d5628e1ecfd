"""Published figures, for context beside our own: each with the protocol that made it."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from bench.corpora.iemocap import RELEASE_COUNTS
from bench.data.protocol import Protocol


@dataclass(frozen=True)
class PublishedSystem:
    """A system's published scores on IEMOCAP with four classes, in percent."""

    name: str
    uar: float
    war: float
    protocol: str
    source: str


def published_beside(
    corpus: str, synthetic: bool, protocol: Protocol, utterances: int
) -> list[PublishedSystem]:
    """The systems of published.toml that scores of this corpus and protocol may stand beside.

    None but for IEMOCAP's own release, its four classes and leaving one session out. utterances:
    that were tested; a copy that lacks some, or a study without all folds, is not the release.
    """
    same = (
        corpus == "IEMOCAP"
        and not synthetic
        and set(protocol.classes) == {"ang", "hap", "neu", "sad"}
        and dict(protocol.merge) == {"exc": "hap"}
        and protocol.test_unit == "session"
        and protocol.style == "all"
        and utterances == sum(RELEASE_COUNTS.values())
    )
    return published_systems() if same else []


def published_systems() -> list[PublishedSystem]:
    """The systems of published.toml, in its order."""
    text = files("reports.analysis").joinpath("published.toml").read_text(encoding="utf-8")
    return [PublishedSystem(**entry) for entry in tomllib.loads(text)["system"]]
