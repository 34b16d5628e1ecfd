"""What a store's numbers depend on besides the audio: the settings, and the key they make."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from bench.features.extractors import FeatureKind, definition_of

Frames = Literal["all", "voiced"]
Extractor = Literal["librosa", "opensmile"]
Normalise = Literal["speaker", "corpus", "none", "wearer"]
PoolTail = Literal["mean", "zeros"]

LATER = ("kind", "extractor", "normalise", "pool_tail", "path")  # a store without them has defaults


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Which features, and how their frames are selected, normalised, capped and pooled.

    kind: see bench.features.extractors. extractor: of `iaan45`, "librosa" or "opensmile". path: the
    folder of `own` features.
    frames: "all", or "voiced" for those with an F0, which only `iaan45` has (an utterance without
        any keeps all of its frames).
    normalise: "speaker" (z-scores over all of a speaker's frames, test speakers' too: their audio
        is heard, their labels are not); "corpus" (mean and deviation of the training utterances of
        each fold: what a deployed system can do); "none"; "wearer" (as IAAN's preprocessing:
        speaker by the first six characters of IEMOCAP's ids, which name who wore the markers).
    cap: frames (of 10 ms, but for `own`) kept of an utterance, from its start; normalisation sees
        them all.
    pool: so many neighbouring frames become their mean. pool_tail: the last frame of an utterance
        is the "mean" of those that are left, or filled up with "zeros" first, after normalisation,
        as in IAAN's preprocessing. Either way T frames become ceil(T / pool).
    Raises ValueError for other values and for those that exclude each other.
    """

    frames: Frames = "all"
    cap: int = 2500
    pool: int = 5
    kind: FeatureKind = "iaan45"
    extractor: Extractor = "librosa"
    normalise: Normalise = "speaker"
    pool_tail: PoolTail = "mean"
    path: str | None = None

    def __post_init__(self) -> None:
        choices = {
            "frames": Frames,
            "kind": FeatureKind,
            "extractor": Extractor,
            "normalise": Normalise,
            "pool_tail": PoolTail,
        }
        for name, choice in choices.items():
            if getattr(self, name) not in get_args(choice):
                known = ", ".join(get_args(choice))
                raise ValueError(f"{name} {getattr(self, name)!r} is none of {known}")
        if self.cap < 1 or self.pool < 1:
            raise ValueError(f"cap {self.cap} and pool {self.pool} must be at least 1")
        for name, value in (("frames", "voiced"), ("extractor", "opensmile")):
            if self.kind != "iaan45" and getattr(self, name) == value:
                raise ValueError(f"{name} {value} has no meaning with features.kind: {self.kind}")
        if (self.kind == "own") != (self.path is not None):
            raise ValueError("path is needed with features.kind: own, and with no other kind")
        if self.pool_tail == "zeros" and self.normalise == "corpus":
            raise ValueError(
                "pool_tail zeros is not possible with features.normalise: corpus, whose frames are "
                "normalised after they are pooled"
            )

    def as_dict(self) -> dict[str, Any]:
        """Everything the numbers depend on but the corpus, as plain data.

        Raises InputError where `own` features cannot be read.
        """
        default = {field.name: field.default for field in fields(self) if field.name in LATER}
        chosen = {
            name: value
            for name, value in asdict(self).items()
            if name != "path" and (name not in default or value != default[name])
        }
        path = None if self.path is None else Path(self.path)
        return {**definition_of(self.kind, self.extractor, path), **chosen}

    def key(self, fingerprint: str) -> str:
        """The store's key (16 hex digits) for a corpus with this content fingerprint."""
        text = json.dumps([fingerprint, self.as_dict()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
