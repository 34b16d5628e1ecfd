"""The kernel cache: what is damaged is made again, what others could have written is not run."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from activations.kernels import cache
from activations.kernels.cpu import compiler
from activations.kernels.cpu.compiler import CompilerError, load_library

SOURCE = "int answer(void) { return 42; }\n"
ROOT = Path(__file__).parents[3]


CACHES = (cache.cache_folder, compiler.load_library)


def forget():
    for each in CACHES:
        each.cache_clear()


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty cache folder, and nothing remembered from other tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    forget()
    yield tmp_path / "gateswap"
    forget()


def answer_of_a_new_process(environment=None, code=""):
    code += (
        "from activations.kernels.cpu.compiler import load_library;"
        f"print(load_library({SOURCE!r}).answer())"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False,
        env=os.environ | (environment or {}),
    )  # fmt: skip


def kept(folder):
    (path,) = folder.glob("*.so")
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: b"#!/bin/sh\n",
        lambda content: content[:900] + bytes([content[900] ^ 1]) + content[901:],
    ],
    ids=["empty", "half", "one byte short", "foreign", "one bit"],
)
def test_a_damaged_library_is_compiled_again_and_not_loaded(folder, damage):
    compiler.compile_library(SOURCE)
    path = kept(folder)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    forget()
    assert load_library(SOURCE).answer() == 42
    assert path.read_bytes() == whole


def test_a_kept_library_can_be_read_and_run_by_all_and_written_by_its_owner(folder):
    compiler.compile_library(SOURCE)
    assert stat.S_IMODE(kept(folder).stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_library_that_others_could_have_written_is_replaced(folder, mode):
    compiler.compile_library(SOURCE)
    path = kept(folder)
    path.chmod(mode)
    inode = path.stat().st_ino
    assert not cache.is_trusted(path)
    forget()
    assert load_library(SOURCE).answer() == 42
    assert path.stat().st_ino != inode
    assert cache.is_trusted(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
def test_a_library_of_somebody_else_is_not_loaded_unless_the_folder_is_theirs(folder):
    compiler.compile_library(SOURCE)
    path = kept(folder)
    os.chown(path, 4242, 4242)
    assert not cache.is_trusted(path)
    os.chown(folder, 4242, 4242)
    assert cache.is_trusted(path)


def test_a_link_in_place_of_a_library_is_not_followed(folder, tmp_path):
    compiler.compile_library(SOURCE)
    path = kept(folder)
    elsewhere = path.rename(tmp_path / "elsewhere.so")
    path.symlink_to(elsewhere)
    forget()
    assert load_library(SOURCE).answer() == 42
    assert not path.is_symlink()


def test_a_cache_folder_that_others_can_write_to_is_left_alone_with_a_warning(folder):
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="others can write to it; chmod go-w"):
        path = compiler.compile_library(SOURCE)
    assert list(folder.iterdir()) == []
    assert load_library(SOURCE).answer() == 42
    assert folder not in path.parents


def test_a_cache_that_cannot_be_written_still_gives_what_it_has(folder, monkeypatch):
    path = compiler.compile_library(SOURCE)
    forget()
    monkeypatch.setattr(cache, "cache_folder", lambda: pytest.fail("asked for a place to write"))
    assert compiler.compile_library(SOURCE) == path


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that even root cannot write")
def test_where_nothing_can_be_written_a_temporary_folder_is_used_and_told_once():
    result = answer_of_a_new_process({"XDG_CACHE_HOME": "/proc"})
    assert result.stdout.strip() == "42", result.stderr
    assert result.stderr.count("set XDG_CACHE_HOME to a folder that can be written") == 1


def test_without_a_home_and_with_an_unknown_user_kernels_are_compiled_for_this_run(tmp_path):
    homeless = (
        "import os, pathlib;"
        "os.environ.pop('HOME', None); os.environ.pop('XDG_CACHE_HOME', None);"
        "import pwd; pwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid));"
    )
    result = answer_of_a_new_process(code=homeless)
    assert result.stdout.strip() == "42", result.stderr
    assert result.stderr.count("set HOME or XDG_CACHE_HOME") == 1


def test_a_cache_on_a_file_system_that_runs_no_programs_is_explained(folder, monkeypatch):
    def refuse(path):
        raise OSError(f"{path}: failed to map segment from shared object")

    compiler.compile_library(SOURCE)
    monkeypatch.setattr(compiler.ctypes, "CDLL", refuse)
    monkeypatch.setattr(compiler, "_cannot_run_programs", lambda folder: True)
    with pytest.raises(CompilerError, match=r"noexec.*set XDG_CACHE_HOME"):
        load_library(SOURCE)


def test_on_windows_one_sentence_says_what_runs(monkeypatch):
    compiler.find_compiler.cache_clear()
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(CompilerError, match=r"Linux and macOS; on Windows the reference runs"):
        compiler.find_compiler()
    compiler.find_compiler.cache_clear()


def test_a_measurement_is_made_once_and_then_found(folder):
    assert cache.agreed("times.txt", lambda: "1.5") == "1.5"
    assert cache.agreed("times.txt", lambda: pytest.fail("it is kept")) == "1.5"
    assert [path.name for path in folder.iterdir()] == ["times.txt"]


@pytest.mark.parametrize(
    "damage",
    ["", "1.5", "1.7 {checksum}\n", "\udcff"],
    ids=["empty", "without its checksum", "changed", "no text"],
)
def test_a_damaged_measurement_is_made_again(folder, damage):
    cache.agreed("times.txt", lambda: "1.5")
    path = folder / "times.txt"
    checksum = path.read_text().split()[1]
    path.write_bytes(damage.format(checksum=checksum).encode("utf-8", "surrogateescape"))
    assert cache.agreed("times.txt", lambda: "1.6") == "1.6"
    assert cache.agreed("times.txt", lambda: "1.8") == "1.6"


def test_processes_that_measure_at_once_go_by_the_same(folder):
    code = (
        "import sys, time\n"
        "from activations.kernels.cache import agreed\n"
        "def measure():\n"
        "    print('measuring', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    return sys.argv[1]\n"
        "print(agreed('times.txt', measure))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for number in range(3)
    ]  # fmt: skip
    for process in processes:  # all have found nothing before the first is done
        assert process.stdout.readline() == "measuring\n"
    found = [process.communicate("\n")[0].strip() for process in reversed(processes)]
    assert found == ["2"] * 3


def test_where_nothing_links_the_last_measurement_stays(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert cache.agreed("times.txt", lambda: "1.5") == "1.5"
    assert cache.agreed("times.txt", lambda: "1.6") == "1.5"
