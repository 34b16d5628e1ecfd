"""The Slurm script: the page shows the one that is shipped, and bash can read it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "studies" / "slurm.sbatch"


def test_the_page_shows_the_script_that_is_shipped() -> None:
    page = (ROOT / "docs" / "studies.md").read_text("utf-8")
    _, _, after = page.partition("<!-- slurm: studies/slurm.sbatch -->\n```bash\n")
    assert after.partition("```\n")[0] == SCRIPT.read_text("utf-8")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_can_read_the_script() -> None:
    done = subprocess.run(["bash", "-n", str(SCRIPT)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.services
def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip("shellcheck is not installed")
    scripts = [str(SCRIPT), str(ROOT / ".ci" / "run")]
    done = subprocess.run([found, *scripts], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
