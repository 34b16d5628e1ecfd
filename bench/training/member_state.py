"""A member in the middle of its training: all that the rest of it depends on.

- Random streams need no state: what a member draws follows from its key and the step.
- A state belongs to a member and not to its stack, so that training goes on in any company.
- It goes on bit by bit only where the same code runs on the same kind of device; anywhere else the
  member begins anew.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import activations
import bench
from activations.errors import InputError
from bench.training.arrays_file import packed, unpacked
from bench.training.identity import Environment

FORMAT = 1
SOURCES = ("*.py", "*.c", "*.h", "*.toml")


@dataclass(frozen=True, kw_only=True, eq=False)
class MemberState:
    """Where a member is: `step` of its steps, after `seconds` of its share of the time.

    environment: what computed it. sources: of what code. arrays: weights and best weights, the
    optimiser's moments, what its record holds.
    """

    step: int
    seconds: float
    environment: Environment
    sources: str
    arrays: Mapping[str, NDArray[Any]]

    def unfit(self, environment: Environment) -> str:
        """Why training cannot go on from here in an environment, as half a sentence; "" if it can.

        The machine's name alone does not matter.
        """
        if self.sources != source_digest():
            return "another version of the code"
        for name in ("kernel", "device", "precision", "torch"):
            before, now = getattr(self.environment, name), getattr(environment, name)
            if before != now:
                return f"{name} {before}, not {now}"
        return ""

    def to_bytes(self) -> bytes:
        """The content of a checkpoint file."""
        header = {
            "format": FORMAT,
            "step": self.step,
            "seconds": self.seconds,
            "environment": vars(self.environment),
            "sources": self.sources,
        }
        return packed(self.arrays, header)

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str = "a checkpoint") -> "MemberState":
        """The inverse of `to_bytes`. Raises InputError for what is no whole checkpoint."""
        arrays, header = unpacked(content, what="checkpoint", where=where)
        try:
            if header.pop("format") != FORMAT:
                raise InputError(f"{where} was written by another version of gateswap")
            environment = Environment(**header.pop("environment"))
            return cls(environment=environment, arrays=arrays, **header)
        except (LookupError, TypeError) as error:
            raise InputError(f"{where} is no checkpoint ({error})") from error


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Of all code that a result can depend on: that of the two packages which train."""
    digest = hashlib.sha256()
    for package in (activations, bench):
        root = Path(str(package.__file__)).parent
        files = sorted(path for pattern in SOURCES for path in root.rglob(pattern))
        for path in files:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:24]
