"""What a store's numbers depend on besides the audio: the settings, and the key they make."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.features.extract import DEFINITION


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """How frames are selected, capped and pooled after extraction.

    frames: "all", or "voiced" for those with an F0, as IAAN's published preprocessing keeps only
        (an utterance without any keeps all of its frames).
    cap: frames of 10 ms that are kept of an utterance, from its start; normalisation sees them all.
    pool: so many neighbouring frames become their mean; the last frame of an utterance is the
        mean of those that are left, so T frames become ceil(T / pool).
    Raises ValueError for other values.
    """

    frames: Literal["all", "voiced"] = "all"
    cap: int = 2500
    pool: int = 5

    def __post_init__(self) -> None:
        if self.frames not in ("all", "voiced"):
            raise ValueError(f"frames must be 'all' or 'voiced', not {self.frames!r}")
        if self.cap < 1 or self.pool < 1:
            raise ValueError(f"cap {self.cap} and pool {self.pool} must be at least 1")

    def as_dict(self) -> dict[str, Any]:
        """Everything the numbers depend on but the corpus, as plain data."""
        return {**DEFINITION, **asdict(self)}

    def key(self, fingerprint: str) -> str:
        """The store's key (16 hex digits) for a corpus with this content fingerprint."""
        text = json.dumps([fingerprint, self.as_dict()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
