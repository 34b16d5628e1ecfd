"""Kernels compiled ahead: those that are asked for later, and nobody waits for them."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activations.kernels.cache import cache_folder
from activations.kernels.cell import Cell
from activations.kernels.cpu import compiler
from activations.kernels.cpu.ahead import CompiledAhead
from activations.kernels.cpu.recurrence import library_source
from activations.registry import get

SECONDS = 120  # for two compilers on a busy machine


def cells(*names: str) -> list[Cell]:
    return [Cell(get("sigmoid"), get("sigmoid"), get(name)) for name in names]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of kernels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_folder.cache_clear()
    yield tmp_path / "gateswap"
    cache_folder.cache_clear()


def test_what_was_compiled_ahead_is_not_compiled_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, compile_it, waited_for = cells("tanh", "relu"), compiler._run, threading.Event()

    def compile_later(*arguments: Any, **options: Any) -> Any:
        assert waited_for.wait(SECONDS)
        return compile_it(*arguments, **options)

    monkeypatch.setattr(compiler, "_run", compile_later)
    ahead = CompiledAhead([*wanted, wanted[0]])  # returns at once
    waited_for.set()
    deadline = time.monotonic() + SECONDS
    while len(list(cache.glob("*.so"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    ahead.close()

    def refuse(*_: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiler, "_run", refuse)
    assert [compiler.compile_library(library_source(cell)).parent for cell in wanted] == [cache] * 2


def test_what_cannot_be_compiled_is_left_to_who_needs_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise compiler.CompilerError("no compiler")

    monkeypatch.setattr(compiler, "find_compiler", fails)
    ahead = CompiledAhead(cells("tanh"))
    ahead.close()
    assert not list(cache.glob("*.so"))
    with pytest.raises(compiler.CompilerError):
        compiler.compile_library(library_source(cells("tanh")[0]))
