"""The folder of results: whole files or none, whatever happens in between."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import studies
from activations.errors import InputError
from studies.plan import Plan
from studies.result_files import ResultFolder, read_study
from studies.workspace import StudyFolder, Workspace, writable
from tests.studies.conftest import MakeResult


def test_results_come_back_by_hash_and_the_study_s_in_the_plan_s_order(
    finished: StudyFolder, plan: Plan, make_result: MakeResult
) -> None:
    results = ResultFolder(finished.results)
    results.write("0" * 24, make_result(next(iter(plan.members.values()))))  # of an earlier plan
    assert results.hashes() == {*plan.members, "0" * 24}
    assert {key: r.member for key, r in results.by_hash().items() if key in plan.members} == dict(
        sorted(plan.members.items())
    )
    assert [r.member for r in read_study(finished)] == list(plan.members.values())


def test_results_carry_the_selection_that_the_study_names_now(finished: StudyFolder) -> None:
    text = finished.plan.read_text()
    finished.plan.write_text(text.replace('"selection": "dev"', '"selection": "oracle"'))
    assert {r.identity.protocol.selection for r in read_study(finished)} == {"oracle"}


def test_cleaning_removes_half_files_and_sets_torn_ones_aside(
    finished: StudyFolder, plan: Plan
) -> None:
    results = ResultFolder(finished.results)
    torn, *whole = plan.members
    content = results.file(torn).read_bytes()
    results.file(torn).write_bytes(content[: len(content) // 2])
    half = finished.results / "abc.npz.123-0a1b2c3d.unfinished"
    half.write_bytes(content[:9])
    said: list[str] = []
    results.clean(plan.members, said.append)
    assert results.hashes() == set(whole)
    assert not half.exists()
    (message,) = said
    assert torn in message
    assert "trained again" in message
    aside = results.file(torn).with_name(f"{torn}.npz.torn")
    assert aside.read_bytes() == content[: len(content) // 2]
    results.file(torn).write_bytes(b"")  # torn again, as a loss of power leaves it
    ResultFolder(finished.results).clean(plan.members, said.append)
    assert aside.read_bytes() == content[: len(content) // 2]
    assert aside.with_name(f"{torn}.npz.torn2").read_bytes() == b""


def _later_format(file: Path) -> None:
    meta = json.loads(str(np.load(file)["meta"]))
    np.savez(file, meta=np.array(json.dumps(meta | {"format": 2})))


def _read_error(file: Path) -> None:
    file.unlink()
    file.mkdir()  # what the system refuses to read, for root too


def _foreign(file: Path) -> None:
    np.savez(file, mine=np.arange(3))


def _another_member(file: Path) -> None:
    other = next(path for path in file.parent.glob("*.npz") if path != file)
    file.write_bytes(other.read_bytes())


@pytest.mark.parametrize("spoil", [_later_format, _read_error, _foreign, _another_member])
def test_what_cannot_be_read_stops_the_run_by_name_and_stays(
    spoil: Callable[[Path], None], finished: StudyFolder, plan: Plan
) -> None:
    results = ResultFolder(finished.results)
    file = results.file(list(plan.members)[3])
    spoil(file)
    before = None if file.is_dir() else file.read_bytes()
    with pytest.raises(InputError, match=str(file)):
        results.clean(plan.members, pytest.fail)
    with pytest.raises(InputError, match=str(file)):
        read_study(finished)
    assert file.is_dir() or file.read_bytes() == before
    assert len(list(finished.results.iterdir())) == len(plan.members)


def test_files_that_are_not_the_plan_s_are_passed_over_and_kept(
    finished: StudyFolder, plan: Plan
) -> None:
    (finished.results / "notes.npz").write_text("mine")
    (finished.results / f"{'0' * 24}.npz").write_text("of an earlier plan, torn")
    results, said = ResultFolder(finished.results), list[str]()
    results.clean(plan.members, said.append)
    assert said == []
    assert results.by_hash(report=said.append).keys() == plan.members.keys()
    (message,) = said
    assert f"{'0' * 24}.npz is not a whole result file" in message
    assert (finished.results / "notes.npz").read_text() == "mine"


def test_status_names_a_torn_file_and_counts_its_member_as_missing(
    finished: StudyFolder, plan: Plan, workspace: Workspace
) -> None:
    file = ResultFolder(finished.results).file(next(iter(plan.members)))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = studies.status("demo", workspace=workspace.root)
    assert found.finished == len(plan.members) - 1
    (sentence,) = found.unreadable
    assert str(file) in sentence


def test_a_torn_plan_is_told_with_the_remedy(finished: StudyFolder) -> None:
    finished.plan.write_text('{"study": "demo", "mem')
    with pytest.raises(InputError, match="run the study again"):
        read_study(finished)


def test_a_study_that_was_never_run_is_told_with_the_command(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="start it with: gateswap run other"):
        read_study(workspace.study("other"))


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*file/runs.*--workspace"):
        writable(tmp_path / "file" / "runs")
