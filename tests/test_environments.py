"""Machines on which little is as usual: no home, no name, another locale, folders that are closed.

Linux lets a process have a user id that nobody knows, and mounts of its own, without asking root;
where it does not, these tests are skipped and say so.
"""

import logging
import os
import re
import subprocess
import sys
import threading
import wave
from importlib.util import find_spec
from pathlib import Path

import pytest

import gateswap
from studies.terminal.home import lend_home

NOBODY = ["unshare", "--user", "--map-user=54321"]
OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]
BARE = {
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",
    "PYTHONUTF8": "0",
    "MPLCONFIGDIR": "/proc/nowhere",
    "MPLBACKEND": "module://of_a_notebook",
    "OMP_NUM_THREADS": "1",
}
NAMELESS = ("HOME", "USER", "LOGNAME", "USERNAME", "XDG_CACHE_HOME")
WHERE_NUMBA_KEEPS_CODE = """
import os
from bench.corpora.library import _where_numba_writes
_where_numba_writes()
print(os.environ["NUMBA_CACHE_DIR"])
"""


def _able(command: list[str]) -> None:
    """Skip the test where the system has no such processes."""
    try:
        done = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=60)
    except OSError as error:
        pytest.skip(f"needs unshare, of util-linux: {error}")
    if done.returncode:
        pytest.skip(f"this system does not let users have namespaces: {done.stderr.strip()}")


def _run(command: list[str], folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in NAMELESS}
    paths = os.pathsep.join([str(Path(gateswap.__file__).parent), *sys.path])
    environment = kept | BARE | {"PYTHONPATH": paths} | more
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )


def _warnings(said: str) -> list[str]:
    return [line for line in said.splitlines() if "warning: " in line.lower()]


def _corpus(folder: Path) -> None:
    rows = ["id,audio,speaker,label"]
    for number in range(2):
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(bytes(range(256)) * 25)
        rows.append(f"{number},{number}.wav,Zoë,ang")
    (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")


def test_a_user_without_home_and_name_in_an_old_locale_computes_features(tmp_path: Path) -> None:
    _able(NOBODY)
    _corpus(tmp_path)
    command = [*NOBODY, sys.executable, "-m", "gateswap", "features", ".", "--format", "manifest"]
    done = _run([*command, "--jobs", "1", "--workspace", "a?b%20c"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 utterances" in done.stdout
    (warning,) = _warnings(done.stderr)
    assert "this user has no home" in warning
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a?b%20c"]


# what librosa compiles is kept nowhere: half a minute
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_nobody_who_can_write_nothing_but_the_workspace_computes_features_and_draws(
    tmp_path: Path,
) -> None:
    _able([*OWN_MOUNTS, *NOBODY])
    _corpus(tmp_path)
    place = _installed().parent
    shell = f'mount --bind {place} {place} && mount -o remount,bind,ro {place} && exec "$@"'
    command = [*OWN_MOUNTS, "sh", "-c", shell, "sh", *NOBODY, sys.executable, "-m", "gateswap"]
    features = ["features", ".", "--format", "manifest", "--jobs", "1"]
    done = _run([*command, *features], tmp_path, HOME="/proc/nowhere")
    assert done.returncode == 0, done.stderr
    (warning,) = _warnings(done.stderr)
    assert "compiled kernels cannot be kept in" in warning
    done = _run(
        [*command, "activations", "relu", "--plot", "f.svg"], tmp_path, HOME="/proc/nowhere"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "f.svg").stat().st_size > 1_000


@pytest.mark.parametrize("name", ["HOME", "MPLCONFIGDIR"])
def test_matplotlib_gets_a_folder_where_its_own_cannot_be_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talks = logging.getLogger("matplotlib.font_manager")
    monkeypatch.setattr(talks, "level", talks.level)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setenv(name, str(tmp_path))
    lend_home()
    assert os.environ.get("MPLCONFIGDIR") == (str(tmp_path) if name == "MPLCONFIGDIR" else None)
    monkeypatch.setenv(name, "/proc/nowhere")
    lend_home()
    assert os.access(os.environ["MPLCONFIGDIR"], os.W_OK)


def _installed() -> Path:
    """The folder of librosa, which takes seconds to import."""
    found = find_spec("librosa")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def test_where_installed_packages_cannot_be_written_numba_keeps_its_code_elsewhere(
    tmp_path: Path,
) -> None:
    _able(OWN_MOUNTS)
    place = _installed()
    shell = f'mount --bind {place} {place} && mount -o remount,bind,ro {place} && exec "$@"'
    command = [*OWN_MOUNTS, "sh", "-c", shell, "sh", sys.executable, "-c", WHERE_NUMBA_KEEPS_CODE]
    done = _run(command, tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "cache" / "gateswap" / "numba"


def test_a_command_may_be_called_from_a_thread(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(gateswap.main(["activations", "tanh"])))
    thread.start()
    thread.join()
    assert codes == [0], capsys.readouterr().err


SHELL = [*("sh", "-c"), None, "sh", sys.executable, "-m", "gateswap"]


def _redirected(how: str, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A command in a shell that redirects its streams so."""
    return _run([part or f'exec "$@" {how}' for part in SHELL] + [*arguments], folder)


def test_output_that_has_no_room_is_one_line_that_says_so(tmp_path: Path) -> None:
    done = _redirected(">/dev/full", "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "gateswap: stdout: no space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_hinder_no_command(closed: str, tmp_path: Path) -> None:
    done = _redirected(closed, "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&- 2" not in closed and closed != ">&-")


def test_a_log_that_has_no_room_ends_no_training(tmp_path: Path) -> None:
    program = "from studies.terminal.streams import prepare_streams as p; p(); import sys; "
    program += "print('x' * 100_000, file=sys.stderr); print('went on')"
    shell = ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", sys.executable, "-c", program]
    done = _run(shell, tmp_path)
    assert (done.returncode, done.stdout) == (0, "went on\n")


def _limited(option: str, mebibytes: int, *command: str, folder: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command under a limit of `ulimit`."""
    shell = ["sh", "-c", f'ulimit -{option} {mebibytes << 10} && exec "$@"', "sh", sys.executable]
    program = "import gateswap, sys; sys.exit(gateswap.main(sys.argv[1:]))"
    done = _run([*shell, "-c", program, *command], folder)
    return done.returncode, done.stdout, done.stderr


# of the first library, of those with threads of their own, and of torch
@pytest.mark.parametrize("mebibytes", [40, 110, 170])
@pytest.mark.parametrize("option", ["v", "d"])
def test_too_little_memory_is_one_line_before_a_library_is_imported(
    option: str, mebibytes: int, tmp_path: Path
) -> None:
    code, _, said = _limited(option, mebibytes, "run", "demo", "--dry-run", folder=tmp_path)
    assert (code, said.count("\n")) == (1, 1), said
    allowed = f"ulimit -{option} allows this process {mebibytes << 10:,} KiB, and "
    assert said.startswith(f"gateswap: there is not enough memory for this: {allowed}")


def test_a_library_that_would_wait_for_its_threads_for_ever_is_not_loaded(tmp_path: Path) -> None:
    code, _, said = _limited("d", 215, "plan", "demo", folder=tmp_path)
    assert (code, said.count("\n"), "scipy needs at least" in said) == (1, 1, True), said


def test_just_under_what_torch_needs_is_one_line_and_with_it_a_command_works(
    tmp_path: Path,
) -> None:
    command = ("activations", "tanh")
    _, _, said = _limited("v", 400, *command, folder=tmp_path)
    found = re.search("torch needs at least ([0-9,]+)", said)
    assert found, said
    need = int(found[1].replace(",", "")) >> 10  # MiB
    code, _, said = _limited("v", need - 2, *command, folder=tmp_path)
    assert (code, said.count("\n"), "torch needs at least" in said) == (1, 1, True), said
    code, shown, said = _limited("v", need + 256, *command, folder=tmp_path)
    assert (code, said) == (0, "")
    assert "tanh(x)" in shown


def test_help_needs_no_room_for_libraries(tmp_path: Path) -> None:
    code, shown, said = _limited("v", 64, "--help", folder=tmp_path)
    assert (code, said) == (0, "")
    assert "Usage" in shown


def test_a_current_folder_that_was_deleted_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    shell = ["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", sys.executable, "-c"]
    done = _run([*shell, "import gateswap; gateswap.main(['status', 'demo'])"], tmp_path)
    assert done.stderr == (
        "gateswap: the current folder was deleted or is out of reach; cd to another\n"
    )


def test_warnings_that_somebody_makes_errors_of_are_shown_and_end_nothing(tmp_path: Path) -> None:
    program = "import gateswap, warnings; gateswap.main(['--help']); warnings.warn('of others')"
    done = _run([sys.executable, "-c", program], tmp_path, PYTHONWARNINGS="error")
    assert (done.returncode, done.stderr) == (0, "gateswap: warning: of others\n")


def test_files_here_that_are_called_as_modules_are_not_imported(tmp_path: Path) -> None:
    for name in ("random", "numpy", "yaml", "studies"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    program = ["-P", "-c", "import gateswap; gateswap.main(['activations', 'tanh'])"]
    done = _run([sys.executable, *program], tmp_path)  # -P: as the script that pip installs
    assert (done.returncode, done.stderr) == (0, "")
