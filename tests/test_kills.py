"""kill -9 at random moments of every phase: what comes out in the end does not tell.

Each phase of a tiny study (speaking the corpus, features, training, tuning, mirroring, the report)
is begun and killed again and again; then everything is run once more to its end and compared with
a workspace in which nothing was interrupted. Longer with `make fuzz`.
"""

import dataclasses
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activations.files import UNFINISHED
from bench.training.results import MemberResult
from studies.result_files import ResultFolder
from studies.workspace import Workspace
from tests.studies.conftest import TINY

KILLS = 20  # real ones: a command that ends before is begun again
SECONDS = float(os.environ.get("GATESWAP_FUZZ_SECONDS", 0))  # more kills until they have passed
SPEC = TINY + "search: {training.learning_rate: [0.01, 0.02]}\n"
CIRCUMSTANCES = {"identity", "wall_seconds", "stack_members", "peak_memory_bytes"}


@dataclasses.dataclass(frozen=True)
class Phase:
    """A command, when its phase has begun (True after that), and what to take away before."""

    command: tuple[str, ...]
    begun: Callable[[Workspace], bool] = lambda _: True
    again: Callable[[Workspace], list[Path]] = lambda _: []


RUN = ("run", "tiny.yaml", "name=tiny")
PHASES = {
    "corpus": Phase(RUN, again=lambda place: [place.corpora]),
    "features": Phase(
        RUN,
        begun=lambda place: any(place.corpora.glob("demo-*/SYNTHETIC.json")),
        again=lambda place: list(place.features.glob("[!.]*")),
    ),
    "run": Phase(
        RUN,
        begun=lambda place: place.study("tiny").plan.exists(),
        again=lambda place: list(place.study("tiny").results.glob("*.npz")),
    ),
    "tune": Phase(
        ("tune", "tiny.yaml", "name=tiny", "--trials", "2"),
        again=lambda place: sorted(place.study("tiny").results.glob("*.npz"))[::2],
    ),
    "mirror": Phase(
        ("mirror", "tiny"), again=lambda place: [place.mlflow_database, place.optuna_database]
    ),
    "report": Phase(("report", "tiny")),
}


class Zygote:
    """Starts commands; see zygote.py."""

    def __init__(self, log: Path) -> None:
        self.log = log
        here = Path(__file__)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(here.with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here.parents[1])}
            | {"ZYGOTE_LOG": str(self.log)},
        )
        assert self._line() == "ready"

    def start(self, folder: Path, *arguments: str) -> int:
        """Run a command in a folder; the process's number."""
        assert self._process.stdin is not None
        print(json.dumps([str(folder), arguments]), file=self._process.stdin, flush=True)
        return int(self._line())

    def ended(self) -> int:
        """How the command ended that was started last: its exit code, or minus a signal."""
        return int(self._line())

    def run(self, folder: Path, *arguments: str) -> float:
        """Run a command to its end, which must be good; how long it took."""
        began = time.monotonic()
        self.start(folder, *arguments)
        assert self.ended() == 0, self.log.read_text()
        return time.monotonic() - began

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    started = Zygote(tmp_path / "stderr")
    yield started
    started.close()


def everything(zygote: Zygote, folder: Path) -> dict[str, float]:
    """Run every phase to its end; how long each command took."""
    commands = dict.fromkeys(phase.command for phase in PHASES.values())
    return {command[0]: zygote.run(folder, *command) for command in commands}


def kill_once(zygote: Zygote, place: Workspace, phase: Phase, seconds: float) -> bool:
    """Kill a phase so many seconds after it has begun; False where it ended before."""
    process = zygote.start(place.root.parent, *phase.command)
    began = None
    while True:
        now = time.monotonic()
        if began is None and phase.begun(place):
            began = now
        if began is not None and now - began >= seconds:
            break
        if not Path(f"/proc/{process}").exists():
            break
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    code = zygote.ended()
    assert code in (0, -signal.SIGKILL), zygote.log.read_text()
    return code == -signal.SIGKILL


@pytest.mark.exhaustive
@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_twenty_kills_in_all_phases_change_no_bit_and_leave_nothing(
    zygote: Zygote, tmp_path: Path
) -> None:
    chance = random.Random(int(os.environ.get("GATESWAP_FUZZ_SEED", 1)))
    expected, place = (
        Workspace(tmp_path / "whole" / "runs"),
        Workspace(tmp_path / "killed" / "runs"),
    )
    for workspace in (expected, place):
        workspace.root.mkdir(parents=True)
        (workspace.root.parent / "tiny.yaml").write_text(SPEC)
    took = everything(zygote, expected.root.parent)
    killed = dict.fromkeys(PHASES, 0)
    until = time.monotonic() + SECONDS
    while sum(killed.values()) < KILLS or time.monotonic() < until:
        name = list(PHASES)[sum(killed.values()) * len(PHASES) // KILLS % len(PHASES)]
        phase = PHASES[name]
        if name in ("tune", "mirror", "report") and not finished(place):
            zygote.run(place.root.parent, *RUN)
        had_a_report = (place.study("tiny").report / "index.html").exists()
        seconds = chance.uniform(0, took[phase.command[0]] / 3)
        if kill_once(zygote, place, phase, seconds):
            killed[name] += 1
        else:  # it has ended before: it needs something to do
            for path in phase.again(place):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        assert (place.study("tiny").report / "index.html").exists() or not had_a_report
    everything(zygote, place.root.parent)
    assert all(killed.values())
    assert_equal(expected, place)
    assert leftovers(place.root) == []


def finished(place: Workspace) -> bool:
    folder = place.study("tiny")
    if not folder.plan.exists():
        return False
    return len(ResultFolder(folder.results).hashes()) >= len(
        json.loads(folder.plan.read_text())["members"]
    )


def leftovers(root: Path) -> list[Path]:
    """Whatever is not part of a finished workspace."""
    return [
        path
        for path in root.rglob("*")
        if UNFINISHED in path.name or path.name.startswith(".") or path.suffix == ".tmp"
    ]


def assert_equal(expected: Workspace, found: Workspace) -> None:
    """The same speech, features, results and numbers of the report; mirrors with all of them."""
    for folder in ("corpora/demo-1-1", "features"):
        assert contents(expected.root / folder) == contents(found.root / folder)
    ours, theirs = (ResultFolder(w.study("tiny").results).by_hash() for w in (found, expected))
    assert ours.keys() == theirs.keys()
    for key, result in ours.items():
        for field in dataclasses.fields(MemberResult):
            if field.name not in CIRCUMSTANCES:
                same(getattr(theirs[key], field.name), getattr(result, field.name), field.name)
    assert said(expected) == said(found)
    assert counted(found.mlflow_database, OF_MEMBERS) == len(ours)
    trials = counted(expected.optuna_database, "select count(*) from trials")
    assert counted(found.optuna_database, "select count(*) from trials") == trials


OF_MEMBERS = (
    "select count(*) from tags join runs using (run_uuid) "
    "where key = 'gateswap.member' and lifecycle_stage = 'active'"
)


def counted(database: Path, query: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(query).fetchone()[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def same(expected: Any, found: Any, name: str) -> None:
    if hasattr(expected, "keys"):
        assert expected.keys() == found.keys()
        for key in expected:
            same(expected[key], found[key], f"{name}/{key}")
    else:
        np.testing.assert_array_equal(expected, found, strict=True, err_msg=name)


def said(place: Workspace) -> Any:
    """What the report says, without times and memory."""
    report = json.loads((place.study("tiny").report / "report.json").read_text())
    return report["comparisons"], report["summaries"], report["runs"]
