"""The batch script for Slurm, run as Slurm would: a Ray on two nodes, a study trained on both.

There is no Slurm here: its variables are set, and a program called `srun` starts what it is given
on this machine. Ray, the study and the signals are real. `ray stop` ends every Ray that it sees, so
the script has a process namespace to itself.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from studies.result_files import PlanRecord, ResultFolder
from studies.workspace import Workspace
from tests.server import free_port
from tests.studies.small_corpus import SMALL, write_corpus

pytestmark = pytest.mark.services

SCRIPT = Path(__file__).parents[3] / "studies" / "slurm.sbatch"
ALONE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]

# options are noted, and come before the command: all of the script's have a value
SRUN = """#!/bin/bash
echo "$*" >> "$SLURM_SUBMIT_DIR/srun.txt"
while [ "${1#--}" != "$1" ]; do shift 2; done
exec "$@"
"""


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    """A folder that a job can be submitted from, with a corpus and a study of it."""
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"]).returncode:
        pytest.skip("this system lets nobody have process namespaces of their own")
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    write_corpus(tmp_path)
    place = tmp_path / ".venv" / "bin"
    place.mkdir(parents=True)
    programs = f"{place}:{Path(sys.executable).parent}"
    (place / "activate").write_text(f"PATH='{programs}':$PATH\n")
    (place / "srun").write_text(SRUN)
    (place / "srun").chmod(0o755)
    return tmp_path


@contextmanager
def submit(folder: Path, *changes: str) -> Iterator["subprocess.Popen[str]"]:
    """The script as it runs on the first node of a job of two nodes; nothing of it stays."""
    port = 0
    while not 20_000 <= port < 40_000:  # where the script looks for one
        port = free_port()
    job = {
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_JOB_ID": str(port - 20_000),
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURMD_NODENAME": "first",
    }
    study = ["demo", *SMALL, f"corpus={{format: manifest, path: '{folder}'}}", *changes]
    process = subprocess.Popen(
        [*ALONE, "bash", str(SCRIPT), *study],
        env=os.environ | job,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()  # and with it the whole namespace
        process.wait()


def told(job: "subprocess.Popen[str]") -> None:
    """Tell the script as `--signal=B:TERM` does: the shell alone, which is unshare's child."""
    (shell,) = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    os.kill(int(shell), signal.SIGTERM)


@pytest.mark.timeout(900)  # on a busy machine: two Rays of two nodes
def test_a_job_told_that_its_time_is_up_keeps_what_is_finished_and_the_next_one_goes_on(
    submitted: Path,
) -> None:
    folder = Workspace(submitted / "runs").study("small")
    results = ResultFolder(folder.results)
    steps = "training.steps=300", "training.evaluate_every=100"
    with submit(submitted, *steps) as job:
        until = time.monotonic() + 240
        while not folder.plan.exists() or not results.hashes():
            assert job.poll() is None, job.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.05)
        told(job)
        said, _ = job.communicate(timeout=120)
    assert job.returncode == 1, said
    assert "the same command continues with the rest" in said
    kept = results.hashes()
    assert 0 < len(kept) < 6

    with submit(submitted, *steps) as job:
        said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said
    assert results.hashes() == set(PlanRecord.read(folder).members) > kept
    log = folder.log.read_text()
    for worker in ("(1)", "(2)"):  # of one CPU: one on each node
        assert worker in log
    (asked, *_) = (submitted / "srun.txt").read_text().splitlines()
    assert asked.startswith("--nodes 1 --ntasks 1 --cpus-per-task 1 --exclude first ray start")
