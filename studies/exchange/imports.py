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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import InputError
from activations.files import file_text
from bench.data.members import Member
from bench.training.identity import Conditions
from bench.training.results import MemberResult
from studies.exchange import columns
from studies.exchange.export import COPIED, FORMAT
from studies.result_files import PlanRecord, ResultFolder
from studies.tuned import TuningRecord
from studies.workspace import StudyFolder

TABLES = ("predictions", "utterances", "curves", "details")


@dataclass(frozen=True)
class Exported:
    """An export as it was read. members, searched: planned and searched ones, by hash; results: of
    both, and of other settings that were tried.
    """

    folder: Path
    provenance: dict[str, Any]
    members: dict[str, Member]
    searched: dict[str, Member]
    results: dict[str, MemberResult]

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
    if provenance["contents"] != "everything":
        raise InputError(
            f"{folder} holds {provenance['contents']} only, from which no report can be written; "
            "export the study without --contents"
        )
    import pyarrow.parquet as pq

    try:
        runs = pq.read_table(folder / "runs.parquet").to_pylist()
        tables = {name: pq.read_table(folder / f"{name}.parquet") for name in TABLES}
        results = columns.results_of(runs, tables, provenance["classes"])
        return Exported(
            folder=folder,
            provenance=provenance,
            members=columns.members_of(runs, "study"),
            searched=columns.members_of(runs, "search"),
            results=results,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} is no whole export ({type(error).__name__}: {error})"
        ) from error


def read_provenance(folder: Path) -> dict[str, Any]:
    """An export's provenance, its files compared with their digests. Raises as `read_export`."""
    try:
        found: dict[str, Any] = json.loads(file_text(folder / "provenance.json"))
        number, files = found["format"], found["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} is no export ({type(error).__name__}); gateswap export STUDY DIR makes one"
        ) from error
    if number != FORMAT:
        raise InputError(
            f"{folder} has format {number} and this gateswap reads {FORMAT}; read it with the "
            "version that wrote it"
        )
    for name, digest in files.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(f"{folder} lacks {name}; get it anew from where it came")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
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
    if (export.folder / "tuning.json").is_file():
        told = json.loads((export.folder / "tuning.json").read_text(encoding="utf-8"))
        known = {**export.searched, **export.members}
        members = {key: known[key] for key in told.pop("members")}
        TuningRecord(**told, members=members).write(folder)
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
