"""Exports: what is read again is what was written, to the last bit, or it is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from activations.errors import InputError
from bench.escapes import markdown
from bench.training.results import MemberResult
from reports.analysis.analysis import analyse
from reports.exported import write_exported
from reports.figures import gallery
from reports.made_up import study as made_up
from studies.exchange.card import Contents
from studies.exchange.export import export_study
from studies.exchange.imports import read_export, together, unpack
from studies.frozen import read_looks
from studies.loading import load
from studies.plan import Data, Plan, make_plan
from studies.result_files import PlanRecord, ResultFolder, read_study
from studies.tuned import TuningRecord, try_setting
from studies.tuning import tried
from studies.workspace import StudyFolder, Workspace


def lay_out(folder: StudyFolder, results: list[MemberResult], name: str = "made-up") -> Plan:
    """A study's folder with made-up results, one setting beside the plan among them."""
    place = Workspace(folder.root.parent.parent)
    first = results[0]
    activations = list(dict.fromkeys(r.variant.activation.name for r in results))
    changes = [f"variants={{activation: {activations}}}", "seeds=2", f"name={name}"]
    changes += ["model.hidden_size=64", "training={steps: 1000}", "corpus.seed=0"]
    changes += ["search={training.learning_rate: [1e-3, 2e-3]}", "tuning.sampler=grid"]
    spec = load("demo", [*changes, "model.dense_size=64", "model.dropout=0.1"], workspace=place)
    data = Data(
        corpus=first.identity.corpus,
        features=first.identity.features,
        folds=tuple(dict.fromkeys(r.fold for r in results)),
    )
    plan = make_plan(spec, data)
    by_run = {(r.variant.label, r.fold, r.seed): r for r in results}
    kept = ResultFolder(folder.results)
    folder.results.mkdir(parents=True)
    for key, member in plan.members.items():
        made = by_run[member.variant.label, member.fold, member.seed]
        identity = replace(made.identity, member=member, protocol=spec.protocol)
        kept.write(key, replace(made, identity=identity))
    hyper = spec.with_settings({"training.learning_rate": 1e-3})
    searched = try_setting(spec, data, first.variant, first.fold, hyper)
    for key, member in searched.items():
        made = by_run[member.variant.label, member.fold, 0]
        identity = replace(made.identity, member=member, protocol=spec.protocol)
        kept.write(key, replace(made, identity=identity))
    TuningRecord(name, "0", 2, False, searched).write(folder)
    plan.record.write(folder)
    folder.spec.write_text(spec.as_yaml())
    return plan


@pytest.fixture
def results() -> list[MemberResult]:
    """Two variants, three folds, two seeds; one run diverged, one activation learns."""
    from reports.made_up import variants

    diverged = [("arelu · gru", 1, 0)]
    chosen = variants(["tanh", "arelu"], ["gru"])
    return made_up(chosen, folds=3, seeds=2, utterances=40, diverged=diverged)


@pytest.fixture
def folder(tmp_path: Path, results: list[MemberResult]) -> StudyFolder:
    place = Workspace(tmp_path / "runs").study("made-up")
    lay_out(place, results)
    return place


def nowhere(result: MemberResult) -> MemberResult:
    return replace(result, identity=replace(result.identity, host=""))


def test_what_is_read_from_an_export_is_what_was_written_to_the_last_bit(
    folder: StudyFolder, tmp_path: Path
) -> None:
    found = read_export(export_study(folder, tmp_path / "out"))
    kept = ResultFolder(folder.results)
    assert found.results.keys() == kept.hashes()
    for key, result in found.results.items():
        original = MemberResult.from_bytes(kept.file(key).read_bytes())
        assert original.to_bytes() == kept.file(key).read_bytes()
        assert result.to_bytes() == nowhere(original).to_bytes()
    assert list(found.members) == list(PlanRecord.read(folder).members)
    search = TuningRecord.read(folder)
    assert search is not None
    assert found.searched == search.members


def test_an_export_is_a_look_that_goes_with_it(folder: StudyFolder, tmp_path: Path) -> None:
    assert read_looks(folder) == ()
    export_study(folder, tmp_path / "out")
    (look,) = read_looks(folder)
    assert (look.members, look.seeds, look.complete) == (
        len(PlanRecord.read(folder).members),
        2,
        True,
    )
    assert (tmp_path / "out" / "looks.json").read_bytes() == folder.looks.read_bytes()


def test_an_export_has_the_original_s_numbers_also_without_ids(
    folder: StudyFolder, tmp_path: Path
) -> None:
    def numbers(of: StudyFolder) -> dict[str, Any]:
        record = PlanRecord.read(of)
        return analyse(
            [nowhere(result) for result in read_study(of)],
            planned=record.members.values(),
            tuned=tried(record, ResultFolder(of.results)),
        ).as_dict()

    def unnamed(found: dict[str, Any]) -> dict[str, Any]:
        subsets = [s if s["kind"] != "speaker" else s | {"name": ""} for s in found["subsets"]]
        return found | {"subsets": subsets}

    original = numbers(folder)
    for hidden in (False, True):
        export = export_study(folder, tmp_path / f"out-{hidden}", hash_ids=hidden)
        copy = Workspace(tmp_path / f"copy-{hidden}").study("made-up")
        unpack(read_export(export), copy)
        found = numbers(copy)
        assert unnamed(found) == unnamed(original)
        assert (found == original) is not hidden


def test_no_path_or_machine_is_in_an_export_and_no_id_in_a_hashed_one(
    folder: StudyFolder, tmp_path: Path
) -> None:
    assert {result.identity.host for result in read_study(folder)} == {"nowhere"}
    plain = export_study(folder, tmp_path / "plain")
    hidden = export_study(folder, tmp_path / "hidden", hash_ids=True)
    table = pq.read_table(hidden / "utterances.parquet")
    ids = set(table.column("ids").to_pylist())
    original = {str(i) for r in read_study(folder) for i in r.ids}
    assert len(ids) == len(original)
    assert not ids & original
    assert set(table.column("speakers").to_pylist()) == {f"speaker {n:05d}" for n in range(1, 7)}
    for path in (*plain.iterdir(), *hidden.iterdir()):
        assert str(tmp_path).encode() not in path.read_bytes()
    for export in (plain, hidden):
        assert "host" not in json.loads((export / "provenance.json").read_text())
        assert {result.identity.host for result in read_export(export).results.values()} == {""}


def test_exports_are_put_together_or_refused_with_the_reason(
    folder: StudyFolder,
    results: list[MemberResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export = export_study(folder, tmp_path / "out")
    first = read_export(export)
    found, members = together([first, first])
    assert (len(found), len(members)) == (12, 12)
    corpus = replace(results[0].identity.corpus, fingerprint="1" * 16)
    judged = replace(results[0].identity.protocol, context_turns=4)
    for changes, reason in (
        ({"corpus": corpus}, "their corpora differ in content"),
        ({"protocol": judged}, "their protocols differ in context_turns: 8 and 4"),
        ({"features": "other"}, "their features differ"),
    ):
        provenance = first.provenance | {
            name: value if isinstance(value, str) else
            value.as_dict() if hasattr(value, "as_dict") else vars(value)
            for name, value in changes.items()
        }  # fmt: skip
        with pytest.raises(InputError, match=reason):
            together([first, replace(first, provenance=provenance)])
    monkeypatch.setattr(gallery, "FIGURES", gallery.FIGURES[:1])
    page = write_exported([export, export_study(folder, tmp_path / "again")])
    assert page.parent == export / "report-with-again"
    text = page.read_text()
    assert "2 exports without a common plan" in text
    assert "<dt>torch</dt>" in text
    assert "<dt>host</dt>" not in text


def test_an_export_that_was_changed_or_is_of_another_format_is_refused(
    folder: StudyFolder, tmp_path: Path
) -> None:
    export = export_study(folder, tmp_path / "out")
    with pytest.raises(InputError, match="exists; give a folder that does not"):
        export_study(folder, export)
    variants = (export / "variants.json").read_text()
    (export / "variants.json").write_text(variants + " ")
    with pytest.raises(InputError, match=r"variants.json is not the file that was exported"):
        read_export(export)
    (export / "variants.json").unlink()
    with pytest.raises(InputError, match=r"lacks variants.json"):
        read_export(export)
    provenance = json.loads((export / "provenance.json").read_text())
    (export / "provenance.json").write_text(json.dumps(provenance | {"format": 2}))
    with pytest.raises(InputError, match="has format 2 and this gateswap reads 1"):
        read_export(export)


@pytest.mark.parametrize("contents", ["scores", "predictions"])
def test_an_export_of_less_than_everything_says_that_no_report_can_be_written(
    folder: StudyFolder, tmp_path: Path, contents: Contents
) -> None:
    export = export_study(folder, tmp_path / "out", contents=contents)
    assert (export / "predictions.parquet").exists() == (contents == "predictions")
    assert not (export / "details.parquet").exists()
    card = (export / "README.md").read_text()
    assert "no report can be written" in card
    assert ("`predictions.parquet`" in card) == (contents == "predictions")
    with pytest.raises(InputError, match=f"holds {contents} only"):
        read_export(export)


def test_a_corpus_s_name_and_a_study_s_description_are_plain_text_in_the_card(
    folder: StudyFolder, tmp_path: Path
) -> None:
    hostile = "[x](javascript:a) <script> | `y`\n# z"
    record = PlanRecord.read(folder)
    corpus = replace(record.conditions.corpus, name=hostile, reservations=(hostile,))
    replace(record, conditions=replace(record.conditions, corpus=corpus)).write(folder)
    place = Workspace(folder.root.parent.parent)
    spec = load(str(folder.spec), workspace=place)
    folder.spec.write_text(spec.model_copy(update={"description": hostile}).as_yaml())
    card = (export_study(folder, tmp_path / "out") / "README.md").read_text()
    assert hostile not in card
    assert card.count(markdown(hostile)) == 3
