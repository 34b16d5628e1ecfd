"""What is handed from one to another, mutated: exports, models, predictions, a workspace's records.

As tests/test_hostile_input.py, whose mutations and measures these are.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from activations.errors import InputError
from bench import untouched
from bench.data.members import Hyperparameters, Member, Variant
from bench.network.kinds import network_class
from bench.training.arrays_file import packed, unpacked
from bench.training.identity import Environment
from bench.training.loaded_network import load_network
from bench.training.member_state import MemberState
from bench.training.saved_network import SavedNetwork
from reports import made_up
from reports.analysis.outside import read_predictions
from reports.exported import write_exported
from reports.score_table import load as load_scores
from studies import glance_index
from studies.checkpoint_files import CheckpointFolder
from studies.exchange.export import export_study
from studies.exchange.imports import read_export, unpack
from studies.mirror_stamps import MirrorStamps
from studies.result_files import PlanRecord, ResultFolder, read_study
from studies.storages import PRODUCTS, storage_of
from studies.tuned import TuningRecord
from studies.workspace import StudyFolder, Workspace
from tests.studies.conftest import fake_result
from tests.test_hostile_input import (  # noqa: F401  fixtures among them
    VALUES,
    _here,
    _silence,
    answers,
    bent,
    cases,
    changed,
    finished,
    understood,
)

pytestmark = pytest.mark.fuzz

MEMBER = Member(Variant("arelu"), "Ses01", 0, Hyperparameters(kind="gru", hidden_size=4))


@pytest.fixture
def export(finished: Path, tmp_path: Path) -> Path:  # noqa: F811
    return export_study(Workspace(finished).study("demo"), tmp_path / "export")


def _signed(export: Path) -> None:
    """Write the digests of the files as they are: who changes files can do that, too."""
    about = export / "provenance.json"
    told = json.loads(about.read_text())
    told["files"] = {
        name: hashlib.sha256((export / name).read_bytes()).hexdigest() for name in told["files"]
    }
    about.write_text(json.dumps(told))


def _another_table(path: Path, chance: random.Random) -> None:
    """A table with a cell, a column or its rows changed, as far as Parquet takes them."""
    content = path.read_bytes()
    rows = pq.read_table(path).to_pylist()
    if chance.random() < 0.2:
        rows = chance.choice([rows[:1], rows[::-1], rows * 2, []])
    else:
        row = chance.choice(rows)
        column = chance.choice(list(row))
        text = row[column]
        if isinstance(text, str) and text.startswith("{") and chance.random() < 0.7:
            row[column] = json.dumps(changed(json.loads(text), chance))
        elif isinstance(text, str) and chance.random() < 0.7:
            row[column] = str(
                chance.choice([*VALUES, "O", "<U100000000", "V9", "M8[s]", "../../x"])
            )
        else:
            value = chance.choice(VALUES)
            for each in rows if chance.random() < 0.5 else [row]:
                each[column] = value
    try:
        pq.write_table(pa.Table.from_pylist(rows), path)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError):
        path.write_bytes(bent(content, chance))


def test_exports(export: Path, tmp_path: Path) -> None:
    valid = {path: path.read_bytes() for path in export.iterdir() if path.suffix != ".md"}
    for chance in cases("export"):
        path = chance.choice(sorted(valid))
        if path.suffix == ".json" and chance.random() < 0.8:
            path.write_text(json.dumps(changed(json.loads(valid[path]), chance)))
        elif path.suffix == ".parquet" and chance.random() < 0.8:
            _another_table(path, chance)
        else:
            path.write_bytes(bent(valid[path], chance))
        if path.name != "provenance.json":
            _signed(export)
        place = Workspace(tmp_path / "unpacked")

        def read() -> None:
            found = read_export(export)
            folder = place.study(found.provenance["study"])  # noqa: B023
            unpack(found, folder)
            read_study(folder)

        understood(read, (path.name, path.read_bytes()[:200]))
        assert {each.name for each in tmp_path.iterdir()} <= {"export", "runs", "unpacked"}
        shutil.rmtree(place.root, ignore_errors=True)
        for each, content in valid.items():
            each.write_bytes(content)
    read()


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "..", "a/b", "", "a\0b"])
def test_an_export_s_study_leads_nowhere_else(export: Path, name: str, tmp_path: Path) -> None:
    about = export / "provenance.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"study": name}))
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="is no name of a study"):
        write_exported([export])
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_export_s_runs_are_called_by_hashes_alone(export: Path, tmp_path: Path) -> None:
    table = pq.read_table(export / "runs.parquet")
    rows = table.to_pylist()
    old, new = rows[0]["run"], "../../../outside"
    for name in ("runs", "predictions", "curves", "details"):
        path = export / f"{name}.parquet"
        text = pq.read_table(path).to_pylist()
        for row in text:
            row["run"] = new if row["run"] == old else row["run"]
        pq.write_table(pa.Table.from_pylist(text), path)
    _signed(export)
    with pytest.raises(InputError, match=r"a run is called '\.\./\.\./\.\./outside'"):
        read_export(export)


def test_a_table_that_claims_more_rows_than_there_can_be_is_not_read(export: Path) -> None:
    count = 2_000_000
    empty = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int8()), pa.array([""]))
    pq.write_table(pa.table({"fold": empty}), export / "utterances.parquet")
    assert (export / "utterances.parquet").stat().st_size < 50_000
    _signed(export)
    with pytest.raises(InputError, match="claims 2,000,000 rows; there can be 1,000,000"):
        read_export(export)


def _network() -> SavedNetwork:
    place = torch.zeros(1, dtype=torch.int64)
    network = network_class("gru")(
        MEMBER.variant, MEMBER.hyper, place, features=3, classes=2, draw=False
    )
    return SavedNetwork(
        identity=fake_result(MEMBER).identity,
        keep="best",
        step=10,
        classes=("ang", "hap"),
        weights={name: array.detach().numpy() for name, array in network.named_parameters()},
        features={"kind": "logmel"},
        scores={"dev_uar": 0.5},
    )


def _repacked(content: bytes, chance: random.Random) -> bytes:
    """A file of arrays whose header says something else, or one of whose arrays is another."""
    arrays, header = unpacked(content, what="file", where="here")
    if chance.random() < 0.6:
        return packed(arrays, changed(header, chance))
    name = chance.choice(sorted(arrays))
    others: list[Any] = [arrays[name][:0], arrays[name][..., None], arrays[name].astype(np.float64)]
    return packed(arrays | {name: chance.choice(others)}, header)


def _mutated(content: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return bent(content, chance)
    try:
        return _repacked(content, chance)
    except (TypeError, ValueError):  # a header that is no dictionary any more
        return bent(content, chance)


def test_models(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    valid = _network().to_bytes()
    path.write_bytes(valid)
    load_network(path)
    for chance in cases("model"):
        content = _mutated(valid, chance)
        path.write_bytes(content)
        understood(lambda: load_network(path), content[:300])


def test_checkpoints(tmp_path: Path) -> None:
    arrays = dict(_network().weights)
    environment = Environment(kernel="k", device="cpu", precision="ieee", torch="2", host="h")
    state = MemberState(step=3, seconds=1.0, environment=environment, sources="s", arrays=arrays)
    folder, key = CheckpointFolder(tmp_path), "0" * 24
    valid = state.to_bytes()
    for chance in cases("checkpoint"):
        content = _mutated(valid, chance)
        folder.file(key).write_bytes(content)

        def read() -> None:
            found = folder.read(key)
            if found is not None:
                found.unfit(replace(environment, host="elsewhere"))

        understood(read, content[:300])


def test_predictions_of_others(tmp_path: Path) -> None:
    results = made_up.study(made_up.variants(["tanh"], ["gru"]), folds=2, seeds=1, utterances=6)
    _, ours = load_scores(results)
    lines = [f"id,fold,seed,{','.join(ours.classes)}"]
    for u, name in enumerate(ours.ids.tolist()):
        fold = ours.folds[int(ours.fold[u])]
        lines += [f"{name},{fold},{seed}{',0.5' * len(ours.classes)}" for seed in (0, 1)]
    text, path = "\n".join(lines).encode(), tmp_path / "theirs.csv"
    path.write_bytes(text)
    read_predictions(path, ours)
    for chance in cases("predictions"):
        content = bent(text, chance)
        if chance.random() < 0.4:
            words = content.split(b",")
            cell = str(chance.choice(VALUES)).encode(errors="replace")
            words[chance.randrange(len(words))] = cell
            content = b",".join(words)
        path.write_bytes(content)
        understood(lambda: read_predictions(path, ours), content)


def test_a_workspace_s_addresses(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    valid = {"mlflow": "https://user:secret@mlflow.example.org", "optuna": "sqlite:///a/b.db"}
    for chance in cases("workspace"):
        if chance.random() < 0.6:
            content = yaml.safe_dump(changed(valid, chance)).encode(errors="replace")
        else:
            content = bent(yaml.safe_dump(valid).encode(), chance)
        place.settings.write_bytes(content)
        for product in PRODUCTS:
            understood(lambda: storage_of(place, product), content)  # noqa: B023


def test_manifests_in_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for number in range(6):
        _silence(folder / f"a{number}.wav")
        about = {"id": f"a{number}", "audio": f"a{number}.wav", "speaker": f"s{number % 3}"}
        rows.append(about | {"label": "ang", "dialog": "d", "turn": number, "valence": 2.5})
    path = folder / "manifest.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    valid = path.read_bytes()
    describe = ("corpus", "describe", "corpus", "--format", "manifest")
    answers(*describe, about="what is right")
    for chance in cases("parquet"):
        path.write_bytes(valid)
        if chance.random() < 0.7:
            _another_table(path, chance)
        else:
            path.write_bytes(bent(valid, chance))
        answers(*describe, about=path.read_bytes()[:300])


# what is read whole, by what reads it; a file of that size takes no room on a disk
HUGE = ["plan.json", "spec.yaml", "frozen.json", "looks.json", "tuning.json", "headers.json"]


@pytest.mark.parametrize("name", [*HUGE, "results"])
def test_a_file_of_a_terabyte_is_refused_by_its_size(finished: Path, name: str) -> None:  # noqa: F811
    folder = Workspace(finished).study("demo")
    path = folder.root / name
    if name == "results":
        path = min(path.glob("*.npz"))
    with path.open("wb") as file:
        file.truncate(1 << 40)
    answers("status", "demo", about=name)
    answers("plan", "demo", about=name)


def test_a_manifest_or_a_model_of_a_terabyte_is_refused_by_its_size(tmp_path: Path) -> None:
    for name in ("manifest.csv", "model.safetensors", "theirs.csv"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 40)
    answers("corpus", "describe", ".", "--format", "manifest", about="a manifest")
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read: it has more than"):
        load_network(tmp_path / "model.safetensors")
    results = made_up.study(made_up.variants(["tanh"], ["gru"]), folds=2, seeds=1, utterances=6)
    with pytest.raises(InputError, match=r"theirs\.csv cannot be read as CSV"):
        read_predictions(tmp_path / "theirs.csv", load_scores(results)[1])


@pytest.fixture
def searched(finished: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:  # noqa: F811
    """A study with a record of each kind that a command reads beside its results."""
    monkeypatch.setattr(glance_index, "FEWEST", 1)
    monkeypatch.setattr(untouched, "STILL", -1)
    folder = Workspace(finished).study("demo")
    members = dict(list(PlanRecord.read(folder).members.items())[:2])
    TuningRecord("demo", "0", 2, False, members).write(folder)
    folder.stamps.write_text(json.dumps({"MLflow": ["0", "a", 1, 2]}))
    assert len(ResultFolder(folder.results).glances()) == len(members) * 4
    return folder


@pytest.mark.parametrize("name", ["tuning.json", "mirrored.json", "headers.json"])
def test_records_beside_the_results(searched: StudyFolder, name: str) -> None:
    path = searched.root / name
    text = path.read_bytes()
    read: Callable[[object], None] = lambda about: answers("status", "demo", about=about)  # noqa: E731
    if name == "mirrored.json":
        place = Workspace(searched.root.parent.parent)
        stamps = MirrorStamps(searched, place, ResultFolder(searched.results), "1")
        read = lambda about: understood(lambda: stamps.complete("MLflow"), about)  # noqa: E731
        place.mlflow_database.write_bytes(b"")
    read("what is right")
    for chance in cases(name):
        content = bent(text, chance)
        if chance.random() < 0.7:
            content = json.dumps(changed(json.loads(text), chance)).encode()
        elif chance.random() < 0.1:
            content = b"[" * 100_000
        path.write_bytes(content)
        read(content[:300])
