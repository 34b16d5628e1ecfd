"""The folder of result files: the truth of a study.

- A finished member is one whole file or none: it is written beside its place, flushed to the disk
  and renamed, so that kill -9 at any moment leaves either nothing or everything.
- The file's name is the member's hash (studies.plan), so finished work is found without an index.
- The folder may hold more than the current plan asks for: members of an earlier specification, or
  of tuning. `read_study` returns the plan's, `ResultFolder.by_hash` every one.
- A result is never deleted. A torn file is set aside under another name, where whoever can mend it
  finds it; one that this version or user cannot read stops the run, for training its member again
  would write over it.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from activations.errors import GateswapError, InputError, on_one_line
from activations.files import file_text, sweep, write_atomically
from bench.data.members import Hyperparameters, Member
from bench.training.glance import Glance
from bench.training.identity import Conditions
from bench.training.results import MemberResult, TornResultError
from bench.untouched import mark_of
from studies.glance_index import GlanceIndex
from studies.member_files import MemberFiles
from studies.workspace import StudyFolder

SUFFIX = ".npz"
INDEX = "headers.json"  # beside the folder
TORN = ".torn"  # what a file is called that was set aside

# what JSON and our own constructors raise for what is no record
UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RecursionError, InputError),
)

Report = Callable[[str], None]
_Record = TypeVar("_Record")
_Read = TypeVar("_Read", MemberResult, Glance)


@dataclass(frozen=True)
class ResultFolder(MemberFiles):
    """Result files by hash. A file is read once: what was read or written stays in memory, as does
    what was glanced at.
    """

    SUFFIX = SUFFIX

    _known: dict[str, MemberResult] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _glanced: dict[str, Glance] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _index: GlanceIndex = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", GlanceIndex(self.path.with_name(INDEX)))

    def read(self, member_hash: str) -> MemberResult:
        """Read one result. Raises TornResultError or InputError as `MemberResult.load`."""
        if member_hash not in self._known:
            self._known[member_hash] = MemberResult.load(self.file(member_hash))
        return self._known[member_hash]

    def by_hash(
        self, *, besides: Collection[str] = (), report: Report = lambda _: None
    ) -> dict[str, MemberResult]:
        """Read every whole result but `besides`; others are passed over and named to `report`."""
        return self._whole(self.read, besides, report)

    def glance(self, member_hash: str) -> Glance:
        """What a result's header says, once all of the file is known to be whole: it was read now,
        or before and nothing has touched it since.

        Raises TornResultError or InputError as `Glance.load`.
        """
        if member_hash not in self._glanced:
            known = self._known.get(member_hash)
            self._glanced[member_hash] = (
                self._looked_up(member_hash) if known is None else Glance.of(known)
            )
        return self._glanced[member_hash]

    def _looked_up(self, member_hash: str) -> Glance:
        """A header from the index, or else from the file."""
        file = self.file(member_hash)
        mark = mark_of(file)
        found = self._index.find(member_hash, mark)
        if found is None:
            found = Glance.load(file)
            self._index.note(member_hash, mark, found)
        return found

    def glances(
        self, *, besides: Collection[str] = (), report: Report = lambda _: None
    ) -> dict[str, Glance]:
        """As `by_hash`, of the results' headers alone: in half the time when they are read first,
        in no time when nothing has touched the files since.
        """
        found = self._whole(self.glance, besides, report)
        self._index.keep(self.hashes())
        return found

    def _whole(
        self, read: Callable[[str], _Read], besides: Collection[str], report: Report
    ) -> dict[str, _Read]:
        found = {}
        for member_hash in sorted(self.hashes().difference(besides)):
            try:
                found[member_hash] = read(member_hash)
            except InputError as error:
                report(f"passed over: {error}")
        return found

    def write(self, member_hash: str, result: MemberResult) -> None:
        """Write one result, all or nothing. Raises GateswapError where the disk refuses."""
        write_atomically(self.file(member_hash), result.to_bytes())
        self._known[member_hash] = result

    def clean(self, members: Mapping[str, Member], report: Report) -> None:
        """Make room for the members that are to be trained.

        Removes what killed processes were writing, and sets torn files of members aside; each is
        named to `report` and its member counts as missing from then on.
        Raises InputError for a file of a member that cannot be read or is not what its name says.
        """
        sweep(self.path)
        for member_hash in sorted(self.hashes() & members.keys()):
            file = self.file(member_hash)
            try:
                glance = self.glance(member_hash)
            except TornResultError as error:
                reason = str(error).rsplit(". ", 1)[0]  # without the remedy
                report(f"{reason}; it is now {self._aside(file)} and its member is trained again")
            except InputError as error:
                raise InputError(
                    f"{error}. It has the name of a member of the study, which is not trained "
                    "before the file can be read or is moved elsewhere"
                ) from error
            else:
                check_member(file, glance.member, members[member_hash])

    def _aside(self, file: Path) -> str:
        """Rename a torn file, never over another; its new name."""
        number = 1
        while (new := file.with_name(f"{file.name}{TORN}{number if number > 1 else ''}")).exists():
            number += 1
        try:
            file.rename(new)
        except OSError as error:
            raise GateswapError(
                f"{file} is torn and cannot be set aside ({error.strerror or error}); rename it"
            ) from error
        return new.name


def check_member(file: Path, found: Member, member: Member) -> None:
    """Raise InputError where a file holds another member's result than its name says."""
    if found != member and _named(found) != _named(member):
        raise InputError(
            f"{file} holds the result of {found.variant.label}, fold {found.fold}, seed "
            f"{found.seed}, not of {member.variant.label}, fold {member.fold}, seed "
            f"{member.seed}, as its name says; move it elsewhere and run the study again"
        )


def _named(member: Member) -> tuple[dict[str, str], str, int, Hyperparameters]:
    """A member without its formulas, which older records lack."""
    return member.variant.names, member.fold, member.seed, member.hyper


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
        about = {"study": self.study, **self.conditions.as_dict()}
        head = json.dumps(about, ensure_ascii=False, indent=1).removesuffix("\n}")
        # a line each: indented, thousands of members would take Python's own encoder half a second
        members = (json.dumps(each, ensure_ascii=False) for each in members_with_hash(self.members))
        listed = ",\n  ".join(members)
        write_atomically(folder.plan, f'{head},\n "members": [\n  {listed}\n ]\n}}')

    @classmethod
    def read(cls, folder: StudyFolder) -> "PlanRecord":
        """Read the record of a study that was started.

        Raises InputError for a study that was never run here, or a torn file.
        """
        name = folder.root.name
        again = "run the study again, which writes it anew and keeps the finished members"
        found = read_record(folder.plan, cls._understood, again)
        if found is None:
            raise InputError(
                f"study {name} has not been run in {folder.root.parent.parent}; "
                f"start it with: gateswap run {name}"
            )
        return found

    @classmethod
    def _understood(cls, data: dict[str, Any]) -> "PlanRecord":
        members = members_by_hash(data["members"])
        return cls(study=data["study"], members=members, conditions=Conditions.from_dict(data))


def members_with_hash(members: Mapping[str, Member]) -> list[dict[str, Any]]:
    """Members by hash as plain data: a list, which keeps their order."""
    return [{"hash": key, **member.as_dict()} for key, member in members.items()]


def members_by_hash(entries: Iterable[Mapping[str, Any]]) -> dict[str, Member]:
    """The inverse of `members_with_hash`."""
    return {entry["hash"]: Member.from_dict(entry) for entry in entries}


def read_record(path: Path, understood: Callable[[Any], _Record], remedy: str) -> _Record | None:
    """What is made of a file's JSON, None where there is no file.

    Raises InputError, with the remedy, for a file that cannot be read or holds something else.
    """
    try:
        return understood(json.loads(file_text(path)))
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read ({on_one_line(error, 100)}); {remedy}") from error


def read_study(folder: StudyFolder) -> list[MemberResult]:
    """The finished members of a study's current plan, in the plan's order.

    Which checkpoint counts is a way of reading, not of training: every result carries the
    protocol.selection that the specification names now.
    Raises InputError for a study that was never run here, and as `ResultFolder.read` does for a
    result that cannot be read.
    """
    record = PlanRecord.read(folder)
    results = ResultFolder(folder.results)
    present = results.hashes()
    found = []
    for member_hash in record.members:
        if member_hash in present:
            result = results.read(member_hash)
            check_member(results.file(member_hash), result.member, record.members[member_hash])
            identity = dataclasses.replace(result.identity, protocol=record.conditions.protocol)
            found.append(dataclasses.replace(result, identity=identity))
    return found
