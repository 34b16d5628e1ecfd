"""Reading exports: checked against their digests, put together where they belong together.

- Nothing is executed: Parquet, JSON and YAML are read as data, formulas by the whitelisting parser.
- An export is unpacked into a study's folder, so that a report from it is written by the same code
  as the original's.
- Exports are put together only where their numbers may stand in one table: one corpus by content,
  one protocol, one set of features and classes, the same test utterances.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activations.errors import InputError, on_one_line
from activations.files import file_text
from bench.arrays import UNREADABLE
from bench.data.members import Member
from bench.training.identity import Conditions
from bench.training.results import MemberResult
from studies.exchange import columns
from studies.exchange.export import COPIED, FORMAT
from studies.member_files import NAME
from studies.result_files import PlanRecord, ResultFolder
from studies.tuned import TuningRecord
from studies.workspace import StudyFolder

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("predictions", "utterances", "curves", "details")
# a table of a few kilobytes can claim any number of rows; 6,000 members of IEMOCAP have 20 million
# predictions
MOST_ROWS = {
    "runs": 250_000,
    "utterances": 1_000_000,
    "curves": 50_000_000,
    "predictions": 50_000_000,
    "details": 50_000_000,
}


@dataclass(frozen=True)
class Exported:
    """An export as it was read. members, searched: planned and searched ones, by hash; results: of
    both, and of other settings that were tried. search: the record of its search, if it had one.
    """

    folder: Path
    provenance: dict[str, Any]
    members: dict[str, Member]
    searched: dict[str, Member]
    results: dict[str, MemberResult]
    search: TuningRecord | None

    @property
    def conditions(self) -> Conditions:
        """What its members share."""
        return Conditions.from_dict(self.provenance)


def is_export(folder: Path) -> bool:
    """Whether a folder is an export."""
    return (folder / "provenance.json").is_file() and (folder / "scores.parquet").is_file()


def read_export(folder: Path) -> Exported:
    """Read an export.

    Raises InputError for a folder that is none, of a later format, changed since it was written, or
    of scores only.
    """
    provenance = read_provenance(folder)
    try:
        if provenance["contents"] != "everything":
            raise InputError(
                f"{folder} holds {provenance['contents']} only, from which no report can be "
                "written; export the study without --contents"
            )
        classes = provenance["classes"]
        if not isinstance(classes, list) or not isinstance(provenance["study"], str):
            raise ValueError("it names no study or no classes")
        Conditions.from_dict(provenance)  # raises for what are none
        runs = _table(folder, "runs").to_pylist()
        tables = {name: _table(folder, name) for name in TABLES}
        results = columns.results_of(runs, tables, classes)
        for result in results.values():
            result.check()
        members = columns.members_of(runs, "study", "search", "tried")
        if strange := [key for key in {**members, **results} if not NAME.fullmatch(key)]:
            raise ValueError(f"a run is called {strange[0][:50]!r}")
        return Exported(
            folder=folder,
            provenance=provenance,
            members=columns.members_of(runs, "study"),
            searched=columns.members_of(runs, "search"),
            results=results,
            search=_search(folder, members),
        )
    except UNREADABLE as error:
        raise InputError(
            f"{folder} is no whole export ({on_one_line(error, 100)}); get it anew from where it "
            "came"
        ) from error


def _search(folder: Path, members: Mapping[str, Member]) -> TuningRecord | None:
    """The record of an export's search, which names members by their hashes."""
    file = folder / "tuning.json"
    if not file.is_file():
        return None
    told = json.loads(file_text(file))
    return TuningRecord(**told | {"members": {key: members[key] for key in told["members"]}})


def _table(folder: Path, name: str) -> "pa.Table":
    """A table of an export. Raises InputError for one that claims more rows than there can be."""
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise InputError(f"{folder} lacks {path.name}; get it anew from where it came")
    with pq.ParquetFile(path) as file:
        rows, most = file.metadata.num_rows, MOST_ROWS[name]
        if rows > most:
            raise InputError(f"{path} claims {rows:,} rows; there can be {most:,} at most")
        return file.read()


def read_provenance(folder: Path) -> dict[str, Any]:
    """An export's provenance, its files compared with their digests. Raises as `read_export`."""
    try:
        found: dict[str, Any] = json.loads(file_text(folder / "provenance.json"))
        number, files = found["format"], dict(found["files"])
    except UNREADABLE as error:
        raise InputError(
            f"{folder} is no export ({type(error).__name__}); gateswap export STUDY DIR makes one"
        ) from error
    if number != FORMAT:
        raise InputError(
            f"{folder} has format {number} and this gateswap reads {FORMAT}; read it with the "
            "version that wrote it"
        )
    for name, digest in files.items():
        path = folder / Path(str(name).replace("\0", "")).name
        if not path.is_file():
            raise InputError(f"{folder} lacks {name}; get it anew from where it came")
        with path.open("rb") as content:
            found_digest = hashlib.file_digest(content, "sha256").hexdigest()
        if found_digest != digest:
            raise InputError(
                f"{path} is not the file that was exported (its SHA-256 differs); get it anew"
            )
    return found


def unpack(export: Exported, folder: StudyFolder) -> None:
    """Lay an export out as the folder of a study."""
    folder.results.mkdir(parents=True)
    for name in ("spec.yaml", *COPIED):
        if (export.folder / name).is_file():
            shutil.copyfile(export.folder / name, folder.root / name)
    PlanRecord(export.provenance["study"], export.members, export.conditions).write(folder)
    if export.search is not None:
        export.search.write(folder)
    kept = ResultFolder(folder.results)
    for key, result in export.results.items():
        kept.write(key, result)


def together(exports: Sequence[Exported]) -> tuple[list[MemberResult], dict[str, Member]]:
    """The results of several exports in one list, and their members by hash: the studies' own.

    Raises InputError, with the reason, where they do not belong together.
    """
    first, *others = exports
    for other in others:
        if reason := _apart(first, other):
            raise InputError(f"{first.folder} and {other.folder} cannot be put together: {reason}")
    members: dict[str, Member] = {}
    results: dict[str, MemberResult] = {}
    for export in exports:
        for key, member in export.members.items():
            members[key] = member
            result = export.results.get(key)
            if result is None:
                continue
            known = results.setdefault(key, result)
            if any(not (known.logits[rule] == result.logits[rule]).all() for rule in known.logits):
                raise InputError(
                    f"{export.folder}: {member.variant.label}, fold {member.fold}, seed "
                    f"{member.seed} has another result than in an export before it; leave one out"
                )
    return list(results.values()), members


def _apart(first: Exported, other: Exported) -> str:
    """Why two exports do not belong together; empty where they do."""
    one, two = first.conditions, other.conditions
    if one.corpus.fingerprint != two.corpus.fingerprint:
        return (
            f"their corpora differ in content ({one.corpus.name} {one.corpus.fingerprint[:8]} and "
            f"{two.corpus.name} {two.corpus.fingerprint[:8]})"
        )
    rules = [each.protocol.as_dict() for each in (one, two)]
    differing = [name for name in rules[0] if rules[0][name] != rules[1].get(name)]
    if differing:
        name = differing[0]
        return f"their protocols differ in {name}: {rules[0][name]} and {rules[1].get(name)}"
    if one.features != two.features:
        return "their features differ"
    if first.provenance["classes"] != other.provenance["classes"]:
        return "their classes differ"
    if first.provenance["ids"] != other.provenance["ids"]:
        return "the ids of one are hashed and those of the other are not"
    fold = columns.differing_utterances([*first.results.values(), *other.results.values()])
    return f"they tested fold {fold} on other utterances" if fold else ""
