"""Compiling C at first use, and never twice.

- The kernel contains formulas that a user may have typed a second ago, so it is compiled where it
  runs: with the system's compiler, for this machine's own processor.
- What the result depends on is the source, the flags, the compiler and the processor; the
  compiler's predefined macros name the last two. The library's file name is a hash of these, so a
  cache can be shared and is never stale.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from activations.errors import GateswapError
from activations.kernels.cache import keep

# No -ffast-math: it drops NaN. The two -fno- give up nothing but errno and signals. -O3 takes half
# as long again to compile and is not faster: what is hot is written as vectors already.
FLAGS = (
    "-std=gnu11", "-O2", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
    "-Wno-psabi", "-fPIC", "-shared", "-pthread",
)  # fmt: skip
CANDIDATES = ("cc", "gcc", "clang")

_compiling: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by the file's name


class CompilerError(GateswapError):
    """There is no C compiler here, or it does not take our source."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler that answered.

    command: what to call, with the flag for this processor.
    version: its name and version, for people.
    fingerprint: hash of its predefined macros, which tell version and processor features.
    features: the widest vector instructions it will use. bfloat16: whether it has the instruction
    that multiplies pairs of bfloat16.
    """

    command: tuple[str, ...]
    version: str
    fingerprint: str
    features: str
    bfloat16: bool

    @property
    def lanes(self) -> int:
        """Floats of a vector, LANES of vmath.h."""
        return {"avx512": 16, "avx2": 8}.get(self.features, 4)


@cache
def find_compiler(variable: str | None = None) -> Compiler:
    """The first working compiler of: the command in `variable` (default: $CC), cc, gcc, clang.

    Raises CompilerError where none works.
    """
    if sys.platform == "win32":
        raise CompilerError(
            "the CPU kernels are for Linux and macOS; on Windows the reference runs, "
            "or everything in WSL"
        )
    asked = os.environ.get("CC", "") if variable is None else variable
    for name in (asked, *CANDIDATES):
        words = tuple(name.split())
        if not words or shutil.which(words[0]) is None:
            continue
        # clang for some processors knows only the second
        for native in ("-march=native", "-mcpu=native"):
            macros = _run((*words, native, "-dM", "-E", "-x", "c", "-"), "")
            if macros.returncode == 0:
                return Compiler(
                    command=(*words, native),
                    version=_version(macros.stdout),
                    fingerprint=hashlib.sha256(macros.stdout.encode()).hexdigest(),
                    features=_features(macros.stdout),
                    bfloat16="__AVX512BF16__" in _macros(macros.stdout),
                )
    raise CompilerError(
        "there is no C compiler (looked for $CC, cc, gcc, clang); install gcc or clang"
    )


def compile_library(source: str) -> Path:
    """Compile C source to a shared library, or find it compiled; returns its path.

    Raises CompilerError without a compiler, or with the first error it reports.
    """
    compiler = find_compiler()
    parts = (source, *FLAGS, *compiler.command, compiler.fingerprint)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def compile_into(path: Path) -> None:
        command = (*compiler.command, *FLAGS, "-x", "c", "-", "-o", str(path), "-lm")
        result = _run(command, source)
        if result.returncode != 0:
            errors = [line for line in result.stderr.splitlines() if "error" in line]
            said = (errors or result.stderr.splitlines() or ["nothing"])[0]
            raise CompilerError(f"{compiler.version} does not compile the kernel: {said}")

    with _compiling[digest]:  # another thread may be at it already: then it is found afterwards
        return keep(f"gru-{digest[:24]}.so", compile_into)


@cache
def load_library(source: str) -> ctypes.CDLL:
    """Compile the source if need be and load it.

    Raises CompilerError as compile_library does, and where the library does not load.
    """
    path = compile_library(source)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        said = f"the compiled kernel does not load: {error}"
        if _cannot_run_programs(path.parent):
            said = (
                f"{path.parent} is on a file system that runs no programs (noexec), so a compiled "
                "kernel does not load from there; set XDG_CACHE_HOME to another folder"
            )
        raise CompilerError(said) from error


def _cannot_run_programs(folder: Path) -> bool:
    flag: int = getattr(os, "ST_NOEXEC", 0)
    return bool(flag and os.statvfs(folder).f_flag & flag)


def _run(command: tuple[str, ...], text: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"LC_ALL": "C"}
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, env=environment
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _macros(text: str) -> dict[str, str]:
    pairs = (line.split(maxsplit=2)[1:] for line in text.splitlines())
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def _version(macros: str) -> str:
    known = _macros(macros)
    name = "clang" if "__clang__" in known else "gcc"
    prefix = "__clang_" if name == "clang" else "__GNUC_"
    numbers = (
        known.get("__clang_major__" if name == "clang" else "__GNUC__", "?"),
        known.get(f"{prefix}minor__" if name == "clang" else "__GNUC_MINOR__", "?"),
    )
    return f"{name} {'.'.join(numbers)}"


def _features(macros: str) -> str:
    known = _macros(macros)
    for macro, name in (("__AVX512F__", "avx512"), ("__AVX2__", "avx2"), ("__ARM_NEON", "neon")):
        if macro in known:
            return name
    return "128-bit vectors"
