"""A result at a glance: what it is and how it went, without its arrays.

- How far a study of thousands of members is must be known within a second. A result's arrays take
  longer than that to build and to check against each other, and are not asked for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from bench.data.members import Member
from bench.training.identity import Identity
from bench.training.results import MemberResult, content_of, opened, understood


@dataclass(frozen=True, kw_only=True)
class Glance:
    """What a result file's header says; the names are `MemberResult`'s."""

    identity: Identity
    outcome: Literal["ok", "diverged"]
    wall_seconds: float

    @property
    def member(self) -> Member:
        """The member this is the record of."""
        return self.identity.member

    @classmethod
    def of(cls, result: MemberResult) -> Self:
        """The same of a result in memory."""
        return cls(
            identity=result.identity, outcome=result.outcome, wall_seconds=result.wall_seconds
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file's header, and compare the checksums of all that it holds.

        Raises as `MemberResult.load` does, but for arrays that are whole and do not belong
        together.
        """
        meta, _ = opened(content_of(path), str(path))
        with understood(str(path)):
            return cls._from(meta)

    @classmethod
    def _from(cls, meta: Mapping[str, Any]) -> Self:
        seconds, outcome = float(meta["wall_seconds"]), meta["outcome"]
        if outcome not in ("ok", "diverged") or not 0 <= seconds < math.inf:
            raise ValueError("its outcome or its time is none")
        identity = Identity.from_dict(meta["identity"])
        return cls(identity=identity, outcome=outcome, wall_seconds=seconds)
