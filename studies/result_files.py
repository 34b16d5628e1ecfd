"""The folder of result files: the truth of a study.

- A finished member is one whole file or none: it is written beside its place, flushed to the disk
  and renamed, so that kill -9 at any moment leaves either nothing or everything.
- The file's name is the member's hash (studies.plan), so finished work is found without an index.
- The folder may hold more than the current plan asks for: members of an earlier specification, or
  of tuning. `read_study` returns the plan's, `ResultFolder.by_hash` every one.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from activations.errors import InputError
from activations.files import UNFINISHED, write_atomically
from bench.data.members import Member
from bench.training.identity import Conditions
from bench.training.results import MemberResult
from studies.workspace import StudyFolder

SUFFIX = ".npz"


@dataclass(frozen=True)
class ResultFolder:
    """Result files by hash. A file is read once: what was read or written stays in memory."""

    path: Path
    _known: dict[str, MemberResult] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def hashes(self) -> set[str]:
        """The members that have a file, whole or not."""
        return {file.name.removesuffix(SUFFIX) for file in self.path.glob(f"*{SUFFIX}")}

    def file(self, member_hash: str) -> Path:
        """Where a member's file is or would be."""
        return self.path / f"{member_hash}{SUFFIX}"

    def read(self, member_hash: str) -> MemberResult:
        """Read one result. Raises InputError for a file that is missing or torn."""
        if member_hash not in self._known:
            self._known[member_hash] = MemberResult.load(self.file(member_hash))
        return self._known[member_hash]

    def by_hash(self, *, besides: Collection[str] = ()) -> dict[str, MemberResult]:
        """Read every whole result but `besides`; files that are not whole are passed over."""
        found = {}
        for member_hash in sorted(self.hashes().difference(besides)):
            with contextlib.suppress(InputError):
                found[member_hash] = self.read(member_hash)
        return found

    def write(self, member_hash: str, result: MemberResult) -> None:
        """Write one result, all or nothing. Raises GateswapError where the disk refuses."""
        write_atomically(self.file(member_hash), result.to_bytes())
        self._known[member_hash] = result

    def clean(self, report: Callable[[str], None]) -> None:
        """Remove what killed processes left: half files, and result files that are torn.

        Each torn file is named to `report`; its member counts as missing from then on.
        """
        for leftover in self.path.glob(f"*{UNFINISHED}"):
            leftover.unlink(missing_ok=True)
        for member_hash in sorted(self.hashes()):
            try:
                self.read(member_hash)
            except InputError as error:
                report(f"{str(error).split('. ')[0]}; its member is trained again")
                self.file(member_hash).unlink(missing_ok=True)


@dataclass(frozen=True)
class PlanRecord:
    """What plan.json says: which members belong to a study, without reading any corpus.

    members: by hash, in the plan's order. conditions: what they share.
    """

    study: str
    members: dict[str, Member]
    conditions: Conditions

    def write(self, folder: StudyFolder) -> None:
        """Save the record, all or nothing."""
        members = [{"hash": key, **member.as_dict()} for key, member in self.members.items()]
        data = {"study": self.study, **self.conditions.as_dict(), "members": members}
        text = json.dumps(data, ensure_ascii=False, indent=1)
        write_atomically(folder.plan, text)

    @classmethod
    def read(cls, folder: StudyFolder) -> "PlanRecord":
        """Read the record of a study that was started.

        Raises InputError for a study that was never run here, or a torn file.
        """
        name = folder.root.name
        try:
            data = json.loads(folder.plan.read_text(encoding="utf-8"))
            members = {entry["hash"]: Member.from_dict(entry) for entry in data["members"]}
            return cls(study=data["study"], members=members, conditions=Conditions.from_dict(data))
        except FileNotFoundError:
            raise InputError(
                f"study {name} has not been run in {folder.root.parent.parent}; "
                f"start it with: gateswap run {name}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder.plan} cannot be read ({type(error).__name__}); run the study again, "
                "which writes it anew and keeps the finished members"
            ) from error


def read_study(folder: StudyFolder) -> list[MemberResult]:
    """The finished members of a study's current plan, in the plan's order.

    Which checkpoint counts is a way of reading, not of training: every result carries the
    protocol.selection that the specification names now.
    Raises InputError for a study that was never run here.
    """
    record = PlanRecord.read(folder)
    results = ResultFolder(folder.results)
    present = results.hashes()
    found = []
    for member_hash in record.members:
        if member_hash in present:
            result = results.read(member_hash)
            identity = dataclasses.replace(result.identity, protocol=record.conditions.protocol)
            found.append(dataclasses.replace(result, identity=identity))
    return found
