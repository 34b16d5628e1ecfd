"""What result files' headers say, in one file beside their folder: to know it without opening them.

- To read thousands of headers takes seconds, and most were read before. Whatever touches a file
  makes its entry worthless, and it is read again (bench.untouched).
- The index is a courtesy: where it is missing, torn, of another version or cannot be written,
  everything is read, as it is by whoever needs more than headers.
- What a disk loses without a write is seen by those who read whole files (the report, mirrors), not
  here.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from activations.errors import GateswapError
from activations.files import file_text, write_atomically
from bench.data.members import Member
from bench.training.glance import Glance
from bench.training.identity import Identity
from bench.untouched import Mark

FORMAT = 1
FEWEST = 50  # files read anew before it is worth writing: they take 20 ms

# what JSON and our own constructors raise for what is no index
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

# size, inode, time of change of the content and of anything: a folder is on one device, which has
# another number on each machine that sees it
_Kept = tuple[int, int, int, int]


class GlanceIndex:
    """The headers of a folder's result files as they were last read; read when first asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[_Kept, Glance]] | None = None
        self._new = 0

    def find(self, member_hash: str, mark: Mark | None) -> Glance | None:
        """What a file says that has this mark; None where that is not known."""
        known = self._entries().get(member_hash)
        if known is None or mark is None or known[0] != _kept(mark):
            return None
        return known[1]

    def note(self, member_hash: str, mark: Mark | None, glance: Glance) -> None:
        """Remember what a file says; mark: as it was before the file was read."""
        if mark is not None and mark.settled:
            self._entries()[member_hash] = _kept(mark), glance
            self._new += 1

    def keep(self, present: Iterable[str]) -> None:
        """Write down what is known of these files, if enough of it is new."""
        if self._new < FEWEST:
            return
        known = self._entries()
        content = _packed({key: known[key] for key in present if key in known})
        with contextlib.suppress(GateswapError):
            write_atomically(self._path, content)
            self._new = 0

    def _entries(self) -> dict[str, tuple[_Kept, Glance]]:
        if self._known is None:
            try:
                self._known = _unpacked(json.loads(file_text(self._path)))
            except _UNREADABLE:
                self._known = {}
        return self._known


def _kept(mark: Mark) -> _Kept:
    return mark.size, mark.inode, mark.content_ns, mark.change_ns


def _packed(known: Mapping[str, tuple[_Kept, Glance]]) -> str:
    """JSON; what members have in common is written once.

    {format, kinds: [identities], files: {hash: [mark, kind, fold, seed, outcome, seconds]}}
    """
    kinds: dict[Identity, int] = {}
    files = {}
    for key, (mark, glance) in known.items():
        member = glance.member
        anyone = dataclasses.replace(member, fold="", seed=0)
        kind = dataclasses.replace(glance.identity, member=anyone)
        number = kinds.setdefault(kind, len(kinds))
        files[key] = [mark, number, member.fold, member.seed, glance.outcome, glance.wall_seconds]
    data = {"format": FORMAT, "kinds": [kind.as_dict() for kind in kinds], "files": files}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _unpacked(data: Mapping[str, Any]) -> dict[str, tuple[_Kept, Glance]]:
    """The inverse of `_packed`. Raises one of `_UNREADABLE` for what is none."""
    if data["format"] != FORMAT:
        raise ValueError("it is of another version")
    kinds = [Identity.from_dict(kind) for kind in data["kinds"]]
    found = {}
    for key, (mark, number, fold, seed, outcome, seconds) in data["files"].items():
        if type(fold) is not str or type(seed) is not int or outcome not in ("ok", "diverged"):
            raise ValueError("a fold, seed or outcome that is none")
        if type(seconds) not in (int, float) or not 0 <= seconds < math.inf:
            raise ValueError("a time that is none")
        kind = kinds[number]
        member = Member(kind.member.variant, fold, seed, kind.member.hyper)
        identity = Identity(**(vars(kind) | {"member": member}))
        glance = Glance(identity=identity, outcome=outcome, wall_seconds=seconds)
        found[key] = (tuple(mark), glance)
    return found
