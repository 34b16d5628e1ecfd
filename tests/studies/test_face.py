"""`import studies`: its examples are true, and a run that nobody watches prints nothing."""

import doctest
import importlib
from pathlib import Path

import pytest

from bench.training.results import MemberResult
from studies.plan import Plan
from studies.result_files import ResultFolder
from studies.workspace import StudyFolder


def test_examples_of_the_face_are_true() -> None:
    found = doctest.testmod(importlib.import_module("studies.face"))
    assert found.attempted
    assert not found.failed


def test_a_folder_of_results_reads_each_file_once(
    finished: StudyFolder, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    load = MemberResult.load
    monkeypatch.setattr(MemberResult, "load", lambda path: (read.append(path), load(path))[1])
    results = ResultFolder(finished.results)
    results.clean(plan.members, pytest.fail)
    assert results.by_hash().keys() == results.hashes()
    assert results.by_hash() == {key: results.read(key) for key in results.hashes()}
    assert len(read) == len(set(read)) == 8
