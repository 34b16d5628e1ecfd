"""The folder of results: whole files or none, whatever happens in between."""

from pathlib import Path

import pytest

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


def test_cleaning_removes_half_files_and_names_torn_ones(finished: StudyFolder, plan: Plan) -> None:
    results = ResultFolder(finished.results)
    torn, *whole = plan.members
    content = results.file(torn).read_bytes()
    results.file(torn).write_bytes(content[: len(content) // 2])
    half = finished.results / "abc.npz.123.unfinished"
    half.write_bytes(content[:9])
    said: list[str] = []
    results.clean(said.append)
    assert results.hashes() == set(whole)
    assert not half.exists()
    (message,) = said
    assert torn in message
    assert "trained again" in message


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
