"""A whole study from the command line, and what is left of it when it is ended in the middle.

The study is tiny but real: speech from espeak-ng, features, folds, training, mirrors. Processes are
killed as a user or a scheduler kills them; the scores that come out in the end must not tell.
"""

import dataclasses
import fcntl
import io
import json
import os
import shutil
import signal
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import gateswap
from activations.files import UNFINISHED
from activations.kernels.cpu.threads import on_threads
from bench.escapes import markdown
from bench.training.results import MemberResult
from reports.figures import gallery
from studies.exchange.imports import read_export
from studies.execution import sharing
from studies.frozen import read_frozen
from studies.result_files import SUFFIX, PlanRecord, ResultFolder, read_study
from studies.tuned import TuningRecord
from studies.workspace import StudyFolder, Workspace
from tests.programs import Program

SPEC = """
corpus: {format: demo, seed: 1, dialogues_per_session: 1}
protocol: {classes: [neu, sad], merge: {hap: neu, exc: neu, ang: sad, fru: sad}}
model: {hidden_size: 4, attention_size: 3, dense_size: 5}
training: {steps: 24, batch_size: 8, learning_rate: 1.0e-2, evaluate_every: 6}
variants: {activation: [tanh, relu, arelu], direction: gru}
stack: {max_members: 3}
"""
MEMBERS = 15  # three variants, five folds; stacks of three and two
# what may differ between two runs of one member: where and when it ran, not what came out
CIRCUMSTANCES = {"identity", "wall_seconds", "stack_members", "peak_memory_bytes"}


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclasses.dataclass(frozen=True)
class Bench:
    """A workspace with the study file, and the command run in it."""

    root: Path

    def arguments(self, name: str, *overrides: str) -> list[str]:
        """What runs the study under this name."""
        study = ["run", str(self.root / "tiny.yaml"), f"name={name}", *overrides]
        return [*study, "--workspace", str(self.root / "runs")]

    def run(self, name: str, *overrides: str) -> "Done":
        """Run it in this process, which has imported everything."""
        return self.gateswap(self.arguments(name, *overrides))

    def gateswap(self, arguments: list[str]) -> "Done":
        """Any command, in this process."""
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = gateswap.main(arguments)
        return Done(code, out.getvalue(), err.getvalue())

    def start(self, name: str) -> Program:
        """Run it in a process of its own."""
        program = "import sys, gateswap; sys.exit(gateswap.main())"
        return Program(f"import torch; torch.set_num_threads(1); {program}", *self.arguments(name))

    def study(self, name: str) -> StudyFolder:
        return Workspace(self.root / "runs").study(name)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A workspace in which the study `whole` has run without interruption."""
    place = Bench(tmp_path_factory.mktemp("bench"))
    (place.root / "tiny.yaml").write_text(SPEC)
    done = place.run("whole")
    assert done.returncode == 0, done.stderr
    assert f"{MEMBERS} members, {MEMBERS} trained now" in done.stdout
    return place


def end_in_the_middle(bench: Bench, name: str, how: signal.Signals) -> tuple[int, str]:
    """Run a study until some members are finished, end it, return the exit code and stderr."""
    folder = bench.study(name).results
    process = bench.start(name)
    until = time.monotonic() + 120
    while len(list(folder.glob(f"*{SUFFIX}"))) < 4:
        assert process.poll() is None, process.stderr
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(how)
    code, _, stderr = process.end(60)
    assert 4 <= len(ResultFolder(folder).hashes()) < MEMBERS
    return code, stderr


def assert_the_same_came_out(name: str, bench: Bench) -> None:
    whole, other = read_study(bench.study("whole")), read_study(bench.study(name))
    assert len(whole) == len(other) == MEMBERS
    for expected, found in zip(whole, other, strict=True):
        for field in dataclasses.fields(MemberResult):
            if field.name in CIRCUMSTANCES:
                continue
            a, b = getattr(expected, field.name), getattr(found, field.name)
            pairs = [(a[k], b[k]) for k in a.keys() | b.keys()] if hasattr(a, "keys") else [(a, b)]
            for x, y in pairs:
                np.testing.assert_array_equal(x, y, strict=True, err_msg=field.name)


def test_a_study_killed_with_sigkill_resumes_to_the_same_bits(bench: Bench) -> None:
    code, _ = end_in_the_middle(bench, "killed", signal.SIGKILL)
    assert code == -signal.SIGKILL
    results = ResultFolder(bench.study("killed").results)
    kept = {key: results.file(key).stat().st_mtime_ns for key in results.hashes()}
    # what kill -9 can leave at worst on a bad disk: half a file, and a file torn in the middle
    torn = max(kept)
    content = results.file(torn).read_bytes()
    results.file(torn).write_bytes(content[:-100])
    (results.path / f"{torn}{SUFFIX}.1-0a1b2c3d{UNFINISHED}").write_bytes(content[:50])

    done = bench.run("killed")
    assert done.returncode == 0, done.stderr
    assert f"{torn}{SUFFIX} is not a whole result file" in done.stderr
    assert f"{MEMBERS} members, {MEMBERS - len(kept) + 1} trained now" in done.stdout
    assert not list(results.path.glob(f"*{UNFINISHED}"))
    for key in kept.keys() - {torn}:  # nothing that was finished is touched again
        assert results.file(key).stat().st_mtime_ns == kept[key]
    assert_the_same_came_out("killed", bench)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_study_ended_politely_keeps_its_members_and_says_how_to_go_on(
    bench: Bench, how: signal.Signals
) -> None:
    name = how.name.lower()
    code, stderr = end_in_the_middle(bench, name, how)
    kept = len(ResultFolder(bench.study(name).results).hashes())
    assert code == 1
    last = stderr.splitlines()[-1]
    assert last.startswith(f"gateswap: stopped. {kept} of {MEMBERS} members are finished and kept")
    assert "the same command continues" in last
    assert "Traceback" not in stderr
    assert not list(bench.study(name).results.glob(f"*{UNFINISHED}"))


def test_a_study_whose_stacks_share_the_cpu_ends_politely_and_resumes_to_the_same_bits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "START_UP", 0.0)  # or so little work would start no workers
    folder, over = bench.study("side").results, threading.Event()

    def end_in_the_middle() -> None:
        while len(list(folder.glob(f"*{SUFFIX}"))) < 4 and not over.is_set():
            time.sleep(0.005)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    ending = threading.Thread(target=end_in_the_middle)
    try:
        with on_threads(2):
            ending.start()
            done = bench.run("side")
    finally:
        over.set()
        ending.join()
        signal.signal(signal.SIGTERM, before)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert "2 stacks side by side on the CPU, each on 1 thread, which is faster" in said
    assert any("of 15 members · cpu (" in line for line in said)
    assert "are finished and kept" in said[-1]
    assert "Traceback" not in done.stderr
    assert 4 <= len(ResultFolder(folder).hashes()) < MEMBERS

    assert bench.run("side").returncode == 0  # in one process
    assert_the_same_came_out("side", bench)


def test_a_finished_study_trains_nothing_again_and_reads_each_result_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, load = [], MemberResult.load

    def noted(path: Path) -> MemberResult:
        read.append(path)
        return load(path)

    monkeypatch.setattr(MemberResult, "load", noted)
    done = bench.run("whole")
    assert done.returncode == 0, done.stderr
    assert f"{MEMBERS} members, 0 trained now" in done.stdout
    assert len(read) == len(set(read)) == MEMBERS


def test_a_changed_specification_keeps_the_members_that_are_unchanged(bench: Bench) -> None:
    assert bench.run("changed", "variants.activation=[tanh]").returncode == 0
    done = bench.run("changed", "variants.activation=[tanh,mish]")
    assert "10 members, 5 trained now" in done.stdout
    assert "has changed: 5 of its 10 members are as before" in done.stderr
    record = PlanRecord.read(bench.study("changed"))
    trained = {member.variant.activation.name for member in record.members.values()}
    assert trained == {"tanh", "mish"}


def test_a_second_process_may_not_run_the_same_study(bench: Bench) -> None:
    handle = os.open(bench.study("whole").root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = bench.run("whole")
    finally:
        os.close(handle)
    assert done.returncode == 1
    assert "study whole is being run by another process" in done.stderr


def test_tuning_shares_members_with_the_study_and_resumes(bench: Bench) -> None:
    changes = ["variants.activation=[tanh,relu]", "search={training.learning_rate: [0.01, 0.02]}"]
    changes += ["tuning.seeds=[0]"]
    _, *arguments = bench.arguments("whole", *changes)
    results = ResultFolder(bench.study("whole").results)
    before = results.hashes()
    plan = bench.study("whole").plan.read_bytes()
    done = bench.gateswap(["tune", *arguments, "--trials", "2"])
    assert done.returncode == 0, done.stderr
    assert len(results.hashes() - before) == 10  # two variants, five folds; 0.01 was there
    _, first, second = done.stdout.splitlines()
    assert {first.split()[0], second.split()[0]} == {"tanh", "relu"}
    kept = results.hashes()
    again = bench.gateswap(["tune", *arguments, "--trials", "2"])
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert results.hashes() == kept
    assert bench.study("whole").plan.read_bytes() == plan  # the report stays the study's


TUNED = (
    "variants.activation=[tanh,relu]",
    "settings=tuned",
    "tuning.sampler=grid",
    "search={training.learning_rate: [0.01, 0.02]}",
)


@pytest.fixture(scope="module")
def tuned(bench: Bench) -> Bench:
    """The workspace once the study `tuned` was tuned, which it refuses to run before."""
    _, *arguments = bench.arguments("tuned", *TUNED)
    assert "was not tuned; first: gateswap tune tuned" in bench.run("tuned", *TUNED).stderr
    done = bench.gateswap(["tune", *arguments])
    assert done.returncode == 0, done.stderr
    return bench


def test_status_and_report_of_a_study_that_was_tuned_and_not_run(tuned: Bench) -> None:
    assert not tuned.study("tuned").plan.exists()
    there = ["tuned", "--workspace", str(tuned.root / "runs")]
    status = tuned.gateswap(["status", *there])
    assert status.returncode == 0, status.stderr
    assert "search of tuned: 20 of 20 members finished, 2 settings" in status.stdout
    done = tuned.gateswap(["report", *there])
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip()).read_text("utf-8")
    assert "<strong>Not run yet.</strong>" in page
    results = ResultFolder(tuned.study("tuned").results).by_hash()
    search = TuningRecord.read(tuned.study("tuned"))
    assert search is not None
    for variant in ("tanh · gru", "relu · gru"):
        (row,) = [line for line in page.split("<tr>") if f"<td>{variant}</td>" in line]
        # what is chosen is, of each fold, the best on its dev set
        best: dict[str, float] = {}
        for key, member in search.members.items():
            if member.variant.label == variant:
                uar = results[key].dev_uar()
                best[member.fold] = max(best.get(member.fold, 0.0), uar)
        chosen = 100 * np.mean(list(best.values()))
        assert f"<td>{chosen:.1f}</td>" in row
    assert "Everything above" not in page  # nothing is


def test_tuned_settings_run_on_seeds_that_were_not_searched_with(tuned: Bench) -> None:
    bench = tuned
    frozen = read_frozen(bench.study("tuned"))
    assert frozen is not None
    assert frozen.results == 0  # before the search, which scores test sets, too
    assert bench.run("tuned", *TUNED).returncode == 0
    folder = bench.study("tuned")
    assert read_frozen(folder) == frozen
    search, plan = TuningRecord.read(folder), PlanRecord.read(folder)
    assert search is not None
    assert {m.seed for m in search.members.values()}.isdisjoint(
        m.seed for m in plan.members.values()
    )
    results = ResultFolder(folder.results).by_hash()
    for member in plan.members.values():  # each has the setting that is best on its fold's dev
        same = [key for key, m in search.members.items()
                if (m.variant, m.fold) == (member.variant, member.fold)]  # fmt: skip
        best = max(results[key].dev_uar() for key in same)
        (own,) = [key for key in same if search.members[key].hyper == member.hyper]
        assert results[own].dev_uar() == best


def test_a_study_of_a_corpus_without_one_session_is_told_so_on_its_page(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "FIGURES", [gallery.find("curves")])  # others take seconds
    (spoken,) = (bench.root / "runs" / "corpora").glob("demo-*")
    shutil.copytree(spoken, tmp_path / "four", ignore=shutil.ignore_patterns("Session3"))
    corpus = f"corpus={{format: iemocap, path: {tmp_path / 'four'}}}"
    features = "features={kind: logmel, normalise: none}"
    told = "Ses03 is missing: 4 of 5 sessions, so there are as many fewer folds by session"
    few = ("variants.activation=tanh", "training.steps=6")  # its page is soon drawn
    done = bench.run("four", corpus, features, *few)
    assert done.returncode == 0, done.stderr
    assert told in done.stderr
    done = bench.gateswap(["report", "four", "--workspace", str(bench.root / "runs")])
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    found = json.loads((page.parent / "report.json").read_text())
    assert (found["folds"], found["reservations"]) == (["Ses01", "Ses02", "Ses04", "Ses05"], [told])
    assert f"Of the corpus: {told}." in found["methods"]
    assert f"<strong>Of the corpus:</strong> {told}.</p>" in page.read_text()
    # the results say it themselves, and so does what is exported of them
    for result in ResultFolder(bench.study("four").results).by_hash().values():
        assert result.identity.corpus.reservations == (told,)
    exported = tmp_path / "exported"
    export = ["export", "four", str(exported), "--workspace", str(bench.root / "runs")]
    assert bench.gateswap(export).returncode == 0
    assert f"Of the corpus: {markdown(told)}." in (exported / "README.md").read_text()
    assert read_export(exported).conditions.corpus.reservations == (told,)
