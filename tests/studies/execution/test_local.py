"""This machine: workers on shares of its CPU compute what one process does, and scripts need not
know of them.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

from activations.kernels.cpu.threads import on_threads
from bench.training.results import MemberResult
from bench.training.train import TrainingSettings, train_stack
from studies.execution import sharing
from studies.execution.local import ThisMachine
from tests.bench import tiny
from tests.studies.execution.training_cases import (
    Noted,
    TinySource,
    assert_equal,
    members,
    stack_of,
)

CPU = torch.device("cpu")


def machine() -> ThisMachine:
    return ThisMachine(TinySource(), TrainingSettings(), [CPU])


def test_few_short_stacks_train_in_this_process() -> None:
    stacks, noted = [stack_of(members(2, name)) for name in ("tanh", "relu")], Noted()
    with on_threads(2):
        engine = machine()
        engine.train(stacks, noted)
        engine.close()
    assert noted.places == {""}
    assert noted.said == []
    assert [done.stack for done in noted.done] == stacks


# as users write: nothing keeps it from running again in a process that imports it
SCRIPT = """
from pathlib import Path
import torch
from studies.execution import sharing
from tests.studies.execution import test_local as t

print("runs", flush=True)
sharing.START_UP = 0.0
torch.set_num_threads(2)
stacks = [t.stack_of(t.members(3, name, steps=60)) for name in ("tanh", "relu", "elu", "gelu")]
noted, engine = t.Noted(), t.machine()
engine.train(stacks, noted)
print(*noted.said, sep="\\n")
print(sorted(noted.places))
engine.train(stacks[:1], noted)  # workers that have started stay
engine.close()
for key, result in noted.results.items():
    Path(key).write_bytes(result.to_bytes())
"""


def test_workers_that_share_the_cpu_train_to_the_same_bits_from_a_plain_script(
    tmp_path: Path,
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "script.py").write_text(SCRIPT)
    # what a user's folder holds is nobody's module because a command runs in it
    (tmp_path / "studies.py").write_text("raise SystemExit('not ours')")
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "folder/script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    runs, said, places = done.stdout.splitlines()
    assert runs == "runs"
    assert said == f"{sharing.Sharing(2, 1)}, which is faster"
    assert places == "['cpu (1)', 'cpu (2)']"
    for name in ("tanh", "relu", "elu", "gelu"):
        stack = stack_of(members(3, name, steps=60))
        found = {key: MemberResult.load(tmp_path / key) for key, _ in stack}
        assert_equal(found, stack, train_stack([member for _, member in stack], tiny.data()))
