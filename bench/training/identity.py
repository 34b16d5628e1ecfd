"""What a result says about itself: which training run it is, of what, and what computed it.

- Two results may stand in one table only if their conditions agree, so these are values that can be
  compared and not text.
- On disk it is one flat dictionary of plain data whose keys no version renames. A file that lacks a
  key is older than the key.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from activations.kernels.precision import PRECISIONS, Precision
from bench.data.members import Member
from bench.data.protocol import Protocol

# tensors are always float32; what torch may round is the factors of products
_RECORDED: dict[Precision, str] = {
    ours: "float32" if ours == "ieee" else f"float32, products {torchs!r}"
    for ours, torchs in PRECISIONS.items()
}

_TEXTS = ("study", "code_version", "kernel", "device", "torch", "host")


@dataclass(frozen=True, kw_only=True)
class CorpusIdentity:
    """A corpus by name and content; synthetic: it is not real speech.

    reservations: a sentence for each thing that numbers of it must be told with, a session that is
    missing for one. They follow from the content, and are no part of what is compared.
    """

    name: str = ""
    fingerprint: str = ""
    synthetic: bool = False
    reservations: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: {name, fingerprint, synthetic}, and reservations where there are any."""
        found = dataclasses.asdict(self)
        reservations = list(found.pop("reservations"))
        return found | ({"reservations": reservations} if reservations else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CorpusIdentity":
        """The inverse of `as_dict`; what other versions wrote is left alone."""
        reservations = data.get("reservations", ())
        return cls(
            name=str(data.get("name", "")),
            fingerprint=str(data.get("fingerprint", "")),
            synthetic=bool(data.get("synthetic", False)),
            reservations=tuple(map(str, reservations)) if isinstance(reservations, list) else (),
        )


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the members of a study share. features: the feature store's key.

    The defaults are those of members that belong to no study.
    """

    protocol: Protocol = dataclasses.field(default_factory=Protocol)
    corpus: CorpusIdentity = dataclasses.field(default_factory=CorpusIdentity)
    features: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data: {protocol: {…}, corpus: {name, fingerprint, synthetic, …}, features}."""
        return {
            "protocol": self.protocol.as_dict(),
            "corpus": self.corpus.as_dict(),
            "features": self.features,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Conditions":
        """The inverse of `as_dict`; other keys of `data` are left alone."""
        return cls(**_conditions(data))


@dataclass(frozen=True, kw_only=True)
class Origin(Conditions):
    """What only the study knows of a result."""

    study: str = ""
    code_version: str = ""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What computed a result. kernel: what the recurrence ran on, in its own words. device: "cpu"
    or a GPU's name. precision: of its products. torch: its version. host: the machine's name.
    """

    kernel: str
    device: str
    precision: Precision
    torch: str
    host: str


@dataclass(frozen=True, kw_only=True)
class Identity(Origin, Environment):
    """Everything a result says about itself."""

    member: Member

    @classmethod
    def of(cls, member: Member, origin: Origin, environment: Environment) -> "Identity":
        """Put together what the member, the study and the machine know."""
        return cls(member=member, **vars(origin), **vars(environment))

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the keys of the fields, of the conditions and of the member."""
        return {
            **super().as_dict(),
            **{name: getattr(self, name) for name in _TEXTS},
            **self.member.as_dict(),
            "precision": _RECORDED[self.precision],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Identity":
        """The inverse of `as_dict`. Raises KeyError, TypeError or ValueError for what is none."""
        precisions = {recorded: ours for ours, recorded in _RECORDED.items()}
        texts = {name: str(data.get(name, "")) for name in _TEXTS}
        return cls(
            member=Member.from_dict(data),
            precision=precisions[data.get("precision", "float32")],
            **(texts | _conditions(data)),
        )


def _conditions(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "protocol": _protocol(json.dumps(data.get("protocol", {}))),
        "corpus": CorpusIdentity.from_dict(data.get("corpus", {})),
        "features": str(data.get("features", "")),
    }


@lru_cache(maxsize=64)
def _protocol(text: str) -> Protocol:
    """A protocol of JSON: the results of a study have one, which need not be checked each time."""
    return Protocol.from_dict(json.loads(text))
