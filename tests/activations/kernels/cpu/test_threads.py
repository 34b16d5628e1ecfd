"""Threads that wait: asleep by default, as the user says otherwise; as many as are granted."""

import os
import subprocess
import sys

import pytest

SLEEPS, SECONDS = 20, 0.02
BUSY_WHILE_ASLEEP = f"""
import time
import bench
import torch
torch.set_num_threads(2)
numbers, spent = torch.ones(1 << 20), 0.0
for _ in range({SLEEPS}):
    numbers.add_(1.0)  # in parallel; then the second thread has nothing to do
    before = time.process_time()
    time.sleep({SECONDS})
    spent += time.process_time() - before
print(spent)
"""
COUNT = """
from activations.kernels.cpu import threads
import torch
threads.cores = lambda: 1
for before in {before}:
    torch.set_num_threads(before)
    print(threads.take_granted_threads())
"""


def python(code: str, **environment: str) -> str:
    """What Python prints, with none of OpenMP's variables but these."""
    kept = {name: value for name, value in os.environ.items() if "OMP" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="another OpenMP runtime")
def test_threads_sleep_while_they_wait_unless_the_user_wants_them_awake() -> None:
    asleep = float(python(BUSY_WHILE_ASLEEP))
    awake = float(python(BUSY_WHILE_ASLEEP, OMP_WAIT_POLICY="ACTIVE"))
    assert asleep < 0.1 * SLEEPS * SECONDS
    assert awake > 3 * asleep


@pytest.mark.parametrize(
    ("before", "environment", "after"),
    [([2, 1], {}, ["1", "1"]), ([2], {"OMP_NUM_THREADS": "2"}, ["2"])],
)
def test_torch_takes_as_many_threads_as_are_granted_unless_the_user_counts(
    before: list[int], environment: dict[str, str], after: list[str]
) -> None:
    assert python(COUNT.format(before=before), **environment).split() == after
