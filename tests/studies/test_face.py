"""`import studies`: its examples are true, and a program that uses it may be interrupted."""

import doctest
import importlib
import signal
import time
from pathlib import Path

import pytest

import studies
from bench.training.results import MemberResult
from studies.plan import Plan
from studies.result_files import ResultFolder
from studies.workspace import StudyFolder
from tests.programs import Program
from tests.studies.small_corpus import SMALL, write_corpus


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


# a program as somebody writes it who wants to see results as they come
PROGRAM = """
import sys, studies
try:
    studies.run(
        "demo", sys.argv[2:], workspace=sys.argv[1], mirror=False, device="cpu",
        callbacks=[lambda result: print(result.variant.label, result.fold, flush=True)],
    )
except KeyboardInterrupt as stop:
    print(stop)
"""


def test_a_program_sees_results_as_they_come_and_keeps_them_where_it_is_interrupted(
    tmp_path: Path,
) -> None:
    write_corpus(tmp_path)
    changes = [*SMALL, f"corpus={{format: manifest, path: {tmp_path}}}"]
    program = Program(PROGRAM, str(tmp_path / "runs"), *changes)
    until = time.monotonic() + 200
    while "\n" not in program.stdout:
        assert program.poll() is None, program.stderr
        assert time.monotonic() < until
        time.sleep(0.005)
    program.send_signal(signal.SIGINT)
    code, said, _ = program.end(60)
    *seen, last = said.splitlines()
    assert code == 0
    kept = studies.results("small", workspace=tmp_path / "runs")
    assert seen == [f"{one.variant.label} {one.fold}" for one in kept]
    assert 1 <= len(kept) < 6
    assert last.startswith(f"stopped. {len(kept)} of 6 members are finished and kept in ")
