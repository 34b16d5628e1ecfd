"""Writing a study's results as an open data set: Parquet, JSON, YAML and a data card.

- Everything that a report needs is in it and nothing else: no audio, no features, no path and no
  name of this machine. Of a licensed corpus, ids can be written as hashes.
- The folder is written beside its place and renamed: it is whole or not there.
"""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activations.errors import GateswapError, InputError
from bench.data.members import Member
from bench.training.results import MemberResult
from studies.exchange import columns
from studies.exchange.card import TABLES, Contents, data_card
from studies.frozen import record_look
from studies.loading import load
from studies.result_files import PlanRecord, ResultFolder, read_study
from studies.tuned import TuningRecord
from studies.tuning import tried
from studies.workspace import StudyFolder, Workspace

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
COPIED = ("frozen.json", "looks.json")  # what was planned, and who looked when


@dataclass(frozen=True)
class _Study:
    """What of a study is exported. members: planned, searched and tried ones, by hash."""

    members: Mapping[str, Member]
    roles: Mapping[str, str]
    results: Mapping[str, MemberResult]


def export_study(
    folder: StudyFolder,
    target: Path,
    *,
    hash_ids: bool = False,
    contents: Contents = "everything",
) -> Path:
    """Write the results of a study into a folder that does not exist yet, and return it.

    hash_ids: write ids of utterances as hashes, and number dialogues and speakers. contents: less
    than everything is smaller, and no report can be written from it.
    Raises InputError for a study without results and a folder that exists, GateswapError where it
    cannot be written.
    """
    if target.exists():
        raise InputError(f"{target} exists; give a folder that does not, or remove it")
    study = _study(folder, hash_ids)
    if not study.results:
        raise InputError(f"study {folder.root.name} has no result to export yet")
    _look(folder, study)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as temporary:
            whole = Path(temporary) / "export"
            whole.mkdir()
            _write(folder, study, whole, hash_ids=hash_ids, contents=contents)
            whole.rename(target)
    except OSError as error:
        raise GateswapError(
            f"the export cannot be written to {target}: {error.strerror or error}"
        ) from error
    return target


def _look(folder: StudyFolder, study: _Study) -> None:
    """Put on record that these results were given away: what is added now comes after that."""
    planned = [key for key, role in study.roles.items() if role == "study"]
    seeds = len({study.members[key].seed for key in planned})
    record_look(folder, planned, seeds, complete=all(key in study.results for key in planned))


def _study(folder: StudyFolder, hash_ids: bool) -> _Study:
    record, search = PlanRecord.read(folder), TuningRecord.read(folder)
    kept = ResultFolder(folder.results)
    searched = {} if search is None else dict(search.members)
    planned = dict(record.members)
    members: dict[str, Member] = {**planned, **searched}
    roles = dict.fromkeys(searched, "search") | dict.fromkeys(planned, "study")
    results = {}
    keys = {member: key for key, member in planned.items()}
    for result in read_study(folder):
        results[keys[result.member]] = result
    others = kept.by_hash(besides=planned)
    known = {id(result) for result in tried(record, kept)}
    for key, result in others.items():
        if key in searched or id(result) in known:
            roles.setdefault(key, "tried")
            members.setdefault(key, result.member)
            results[key] = result
    results = {key: _nowhere(result) for key, result in results.items()}
    if hash_ids:
        results = _without_ids(results, record.conditions.corpus.fingerprint)
    ordered = {key: results[key] for key in members if key in results}
    return _Study(members, roles, ordered)


def _write(
    folder: StudyFolder, study: _Study, target: Path, *, hash_ids: bool, contents: Contents
) -> None:
    import pyarrow.parquet as pq

    members, roles, results = study.members, study.roles, study.results
    tables = {
        "scores": columns.scores_table(roles, results),
        "runs": columns.runs_table(members, roles, results),
    }
    ours = {key: result for key, result in results.items() if roles[key] == "study"}
    said = results if contents == "everything" else ours  # half, where settings were searched
    more: dict[str, Callable[[], pa.Table]] = {
        "predictions": lambda: columns.predictions_table(roles, said),
        "utterances": lambda: columns.utterances_table(results),
        "curves": lambda: columns.curves_table(results),
        "details": lambda: columns.details_table(results),
    }
    tables |= {name: more[name]() for name in TABLES[contents]}
    for name, table in tables.items():
        pq.write_table(table, target / f"{name}.parquet", compression="zstd")
    spec = load(str(folder.spec), workspace=Workspace(folder.root.parent.parent))
    told = spec.model_copy(update={"corpus": spec.corpus.model_copy(update={"path": None})})
    (target / "spec.yaml").write_text(told.as_yaml(), encoding="utf-8")
    variants = _variants(members)
    _json(target / "variants.json", variants)
    for name in COPIED:
        if (folder.root / name).is_file():
            shutil.copyfile(folder.root / name, target / name)
    search = TuningRecord.read(folder)
    if search is not None:
        _json(target / "tuning.json", vars(search) | {"members": list(search.members)})
    provenance = _provenance(folder, study, hash_ids=hash_ids, contents=contents)
    (target / "README.md").write_text(
        data_card(provenance, variants, spec, results), encoding="utf-8"
    )
    provenance["files"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(target.iterdir())
    }
    _json(target / "provenance.json", provenance)


def _variants(members: Mapping[str, Member]) -> list[dict[str, Any]]:
    """Each variant with its formulas, and what is known of its activation."""
    from activations import description

    rows = []
    for variant in dict.fromkeys(member.variant for member in members.values()):
        told = description.describe(variant.activation.formula)
        rows.append(
            {
                "label": variant.label,
                **variant.as_dict(),
                **{name: told[name] for name in ("family", "parameters", "facts", "facts_are")},
                "source": told["source"],
            }
        )
    return rows


def _provenance(
    folder: StudyFolder, study: _Study, *, hash_ids: bool, contents: Contents
) -> dict[str, Any]:
    conditions = PlanRecord.read(folder).conditions
    results = list(study.results.values())
    made = {
        name: sorted({str(getattr(result.identity, name)) for result in results})
        for name in ("code_version", "kernel", "device", "precision", "torch")
    }
    return {
        "format": FORMAT,
        "study": folder.root.name,
        **conditions.as_dict(),
        "classes": list(results[0].classes),
        "ids": "hashed" if hash_ids else "plain",
        "contents": contents,
        "planned": sum(role == "study" for role in study.roles.values()),
        "results": len(results),
        "seconds": sum(result.wall_seconds for result in results),
        **made,
    }


def _nowhere(result: MemberResult) -> MemberResult:
    """The result without the name of the machine that computed it."""
    return dataclasses.replace(result, identity=dataclasses.replace(result.identity, host=""))


def _without_ids(results: Mapping[str, MemberResult], fingerprint: str) -> dict[str, MemberResult]:
    """The results with hashed ids. Speakers and dialogues are numbered in the order of their names:
    tests that draw them at random draw them in that order.
    """
    speakers = _numbers("speaker", (result.speakers for result in results.values()))
    dialogs = _numbers("dialogue", (result.dialogs for result in results.values()))

    def hashed(name: object) -> str:
        return hashlib.sha256(f"{fingerprint}:{name}".encode()).hexdigest()[:16]

    return {
        key: dataclasses.replace(
            result,
            ids=np.array([hashed(name) for name in result.ids]),
            dialogs=np.array([dialogs[str(name)] for name in result.dialogs]),
            speakers=np.array([speakers[str(name)] for name in result.speakers]),
        )
        for key, result in results.items()
    }


def _numbers(what: str, names: Iterable[Iterable[object]]) -> dict[str, str]:
    """`speaker 00001` for the first of the names, and so on."""
    known = sorted({str(name) for each in names for name in each})
    return {name: f"{what} {k:05d}" for k, name in enumerate(known, start=1)}


def _json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
