"""Compiling at first use: the cache, its races, and machines where it cannot work."""

import subprocess
import sys
from pathlib import Path

import pytest

from activations.kernels.cache import cache_folder
from activations.kernels.cpu import compiler
from activations.kernels.cpu.compiler import CompilerError, compile_library, find_compiler

SOURCE = "int answer(void) { return 42; }\n"


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache folder, and nothing remembered from other tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    caches = (compiler.find_compiler, cache_folder, compiler.load_library)
    for each in caches:
        each.cache_clear()
    yield tmp_path
    for each in caches:
        each.cache_clear()


def test_a_source_is_compiled_once_and_then_found(fresh, monkeypatch):
    path = compile_library(SOURCE)
    calls = []
    monkeypatch.setattr(compiler, "_run", lambda *call: calls.append(call))
    assert compile_library(SOURCE) == path
    assert not calls
    assert compiler.load_library(SOURCE).answer() == 42


def test_another_source_is_another_library(fresh):
    assert compile_library(SOURCE) != compile_library(SOURCE.replace("42", "43"))


def test_many_processes_that_compile_at_once_leave_one_whole_library(fresh):
    code = (
        "from activations.kernels.cpu.compiler import load_library;"
        f"print(load_library({SOURCE!r}).answer())"
    )
    root = Path(__file__).parents[4]
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root)
        for _ in range(4)
    ]
    answers = [process.communicate()[0].strip() for process in processes]
    assert answers == [b"42"] * 4
    assert [path.suffix for path in (fresh / "gateswap").iterdir()] == [".so"]


def test_a_cache_that_cannot_be_written_is_replaced_for_this_run_with_a_warning(
    fresh, monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be kept in .*set XDG_CACHE_HOME"):
        path = compile_library(SOURCE)
    assert path.exists()
    assert tmp_path not in path.parents


def test_without_a_compiler_the_error_says_what_was_looked_for(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(CompilerError, match=r"no C compiler \(looked for \$CC, cc, gcc, clang\)"):
        compile_library(SOURCE)


def test_the_compiler_in_cc_comes_first_and_a_broken_one_is_passed_over(
    fresh, monkeypatch, tmp_path
):
    usual = find_compiler()
    mine = tmp_path / "mycc"
    mine.write_text(f'#!/bin/sh\nexec {usual.command[0]} "$@"\n')
    mine.chmod(0o755)
    find_compiler.cache_clear()
    monkeypatch.setenv("CC", f"{mine} -g0")
    assert find_compiler().command[:2] == (str(mine), "-g0")
    mine.write_text("#!/bin/sh\nexit 1\n")
    find_compiler.cache_clear()
    assert find_compiler() == usual


def test_source_that_does_not_compile_is_reported_with_the_compilers_first_error(fresh):
    with pytest.raises(CompilerError, match=r"does not compile the kernel: .*error"):
        compile_library("int broken(void) { return nothing; }\n")
    assert list((fresh / "gateswap").iterdir()) == []
