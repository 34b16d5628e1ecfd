"""Studies that are killed in the middle of a stack, or meet a full disk: real processes."""

import dataclasses
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import studies
from bench.training.arrays_file import SUFFIX
from studies.checkpoint_files import CheckpointFolder
from studies.model_files import ModelFolder
from studies.result_files import read_study
from studies.workspace import StudyFolder, Workspace
from tests.programs import Program
from tests.studies.conftest import Said
from tests.studies.execution.training_cases import CIRCUMSTANCES

# a model takes some 220 KB, a checkpoint four times that, a result 20
SPEC = """
name: small
corpus: {{format: manifest, path: {corpus}}}
protocol: {{classes: [neu, sad], merge: {{}}, test_unit: speaker}}
features: {{kind: logmel, normalise: none}}
model: {{kind: gru, hidden_size: 96, attention_size: 2, dense_size: 4}}
training: {{steps: 60, batch_size: 4, evaluate_every: 20, learning_rate: 1.0e-3}}
variants: {{activation: tanh}}
stack: {{max_members: 2, checkpoint_minutes: 1.0e-9}}
"""
STUDY = """
import sys, studies
from studies.progress import Silent
class Loud(Silent):
    def say(self, text):
        print(text, file=sys.stderr, flush=True)
address = sys.argv[3]
studies.run(
    sys.argv[1], sys.argv[4:], workspace=sys.argv[2], mirror=False, device="cpu", display=Loud(),
    engine="ray" if address else "local", address=address,
)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that ran without interruption below `runs`."""
    root = tmp_path_factory.mktemp("checkpoints")
    (root / "corpus").mkdir()
    rows, random = ["id,audio,speaker,label"], np.random.default_rng(0)
    for number in range(12):
        name, label = f"u{number}", ("neu", "sad")[number % 2]
        rows.append(f"{name},{name}.wav,{'ABC'[number % 3]},{label}")
        samples = 0.1 * random.standard_normal(5000)
        soundfile.write(root / "corpus" / f"{name}.wav", samples, 16_000)
    (root / "corpus" / "manifest.csv").write_text("\n".join(rows))
    (root / "small.yaml").write_text(SPEC.format(corpus=root / "corpus"))
    studies.run(str(root / "small.yaml"), workspace=root / "runs", mirror=False, device="cpu")
    return root


@pytest.fixture
def fresh(whole: Path, tmp_path: Path) -> Path:
    """A workspace with the features and nothing else."""
    shutil.copytree(whole / "runs" / "features", tmp_path / "runs" / "features")
    return tmp_path / "runs"


def start(
    whole: Path, workspace: Path, *changes: str, limit: int | None = None, address: str = ""
) -> Program:
    """Run the study in a process of its own, no file of which may exceed the limit (bytes).

    address: of the Ray cluster that trains; "": the process does.
    """
    limits = {} if limit is None else {resource.RLIMIT_FSIZE: limit}
    arguments = [str(whole / "small.yaml"), str(workspace), address, *changes]
    return Program(STUDY, *arguments, limits=limits)


def assert_the_same(found: StudyFolder, whole: Path) -> None:
    """Results and models of the two workspaces are the same bits."""
    other = Workspace(whole / "runs").study("small")
    results, expected = read_study(found), read_study(other)
    assert len(results) == len(expected) == 3
    for ours, theirs in zip(results, expected, strict=True):
        for name in (field.name for field in dataclasses.fields(ours)):
            if name not in CIRCUMSTANCES:
                a, b = getattr(ours, name), getattr(theirs, name)
                pairs = [(a[k], b[k]) for k in b] if hasattr(b, "keys") else [(a, b)]
                for x, y in pairs:
                    np.testing.assert_array_equal(x, y, err_msg=name)
    for key in ModelFolder(other.models).hashes():
        ours, theirs = (ModelFolder(each.models).file(key) for each in (found, other))
        assert ours.read_bytes() == theirs.read_bytes()
    assert not list(found.checkpoints.glob("*"))


def wait_for(condition: Callable[[], bool], process: Program) -> None:
    until = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.stderr
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_study_killed_in_the_middle_of_a_stack_goes_on_there_to_the_same_bits(
    how: signal.Signals, whole: Path, fresh: Path
) -> None:
    folder = Workspace(fresh).study("small")
    process = start(whole, fresh)
    checkpoints = CheckpointFolder(folder.checkpoints)

    def in_the_middle() -> bool:
        keys = [file.name.removesuffix(SUFFIX) for file in folder.checkpoints.glob(f"*{SUFFIX}")]
        states = [checkpoints.read(key) for key in keys]
        return len(states) == 2 and all(state is not None and state.step > 5 for state in states)

    wait_for(in_the_middle, process)
    process.send_signal(how)
    assert process.end(60).returncode != 0
    assert not list(folder.results.glob("*.npz"))

    said = Said()
    studies.run(
        str(whole / "small.yaml"), workspace=fresh, mirror=False, device="cpu", display=said
    )
    # a kill between two files leaves the two members a step apart, each in a stack of its own
    resumed = [line for line in said.lines if "goes on after step" in line]
    assert len(resumed) in (1, 2)
    assert all(int(line.split("after step ")[1].split()[0]) > 5 for line in resumed)
    assert_the_same(folder, whole)


def test_on_a_full_disk_training_goes_on_without_checkpoints(whole: Path, fresh: Path) -> None:
    process = start(whole, fresh, limit=500_000)
    code, _, said = process.end(250)
    assert code == 0, said
    assert said.count("no checkpoint is kept (cannot write") == 1
    assert_the_same(Workspace(fresh).study("small"), whole)


def test_where_no_model_fits_no_result_is_written_and_the_next_run_goes_on(
    whole: Path, fresh: Path
) -> None:
    folder = Workspace(fresh).study("small")
    process = start(whole, fresh, limit=150_000)
    code, _, said = process.end(250)
    assert code != 0
    assert f"cannot write {folder.models}" in said
    assert not list(folder.results.glob("*.npz"))
    studies.run(str(whole / "small.yaml"), workspace=fresh, mirror=False, device="cpu")
    assert_the_same(folder, whole)


def test_members_at_different_steps_go_on_in_stacks_of_their_own(whole: Path, fresh: Path) -> None:
    folder = Workspace(fresh).study("small")
    process = start(whole, fresh)
    wait_for(lambda: len(list(folder.checkpoints.glob(f"*{SUFFIX}"))) == 2, process)
    process.send_signal(signal.SIGKILL)
    process.end(60)
    sorted(folder.checkpoints.glob(f"*{SUFFIX}"))[0].write_bytes(b"torn")
    studies.run(str(whole / "small.yaml"), workspace=fresh, mirror=False, device="cpu")
    assert_the_same(folder, whole)


@pytest.mark.services
def test_a_study_on_ray_whose_driver_is_killed_goes_on_to_the_same_bits(
    whole: Path, fresh: Path, cluster: Any
) -> None:
    folder = Workspace(fresh).study("small")
    process = start(whole, fresh, address=cluster.address)
    wait_for(lambda: any(folder.checkpoints.glob(f"*{SUFFIX}")), process)
    process.send_signal(signal.SIGKILL)
    process.end(60)
    kept = {file: file.stat().st_mtime_ns for file in folder.results.glob("*.npz")}

    _, _, said = start(whole, fresh, address=cluster.address).end(250)
    assert "goes on after step" in said
    assert_the_same(folder, whole)
    assert all(file.stat().st_mtime_ns == then for file, then in kept.items())
