"""Room for native libraries, which is looked at before they are imported.

- What native code does where memory runs out while it loads is nothing that Python could catch, and
  every machine does something else: C++ ends the process, OpenBLAS waits for ever for threads that
  it could not start. So where limits are set, they are asked first, and the error is one line.
- Asked is what is left when a library is about to be imported: a command that needs no torch is not
  refused for torch's sake.
- What a library needs is what its import was seen to take (Linux, x86-64, the versions of
  constraints.txt; VmSize and VmData of /proc/self/status before and after). Of torch, whose builds
  differ by gigabytes, its shared libraries are counted on the disk.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

from activations.errors import GateswapError
from activations.kernels.cpu.limits import memory_limit, resource_limits

MIB = 1 << 20
SPARE = 64 * MIB  # for what smaller libraries take, and for a beginning of work
BLAS_THREADS = 64  # at most, as numpy's and scipy's OpenBLAS are built
_COUNTS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Need:
    """What an import takes, in MiB: address space, private memory, and both for a further thread.

    touched: what of the private memory is used at once, and has to be there.
    """

    space: int
    private: int
    touched: int
    thread: int = 0


NEEDS = {
    "pydantic": Need(16, 8, 8),  # typer asks it to read every command; its Rust aborts
    "numpy": Need(84, 43, 9, thread=40),  # OpenBLAS starts its threads: 32 MiB and a stack each
    "scipy": Need(155, 81, 45, thread=40),  # with linalg, of an OpenBLAS of its own, and stats
    "pyarrow": Need(226, 25, 6),
    "pandas": Need(45, 30, 31),
    "llvmlite": Need(182, 22, 24),
    "matplotlib": Need(47, 29, 29),
    "onnxruntime": Need(50, 15, 8),
    "torch": Need(43, 130, 130, thread=8),  # a stack each, and its libraries
}


def guard_imports(root: Path = Path("/")) -> None:
    """From now on raise GateswapError before a library is imported that has no room.

    Nothing changes where this process may take as much as any import needs. root: where /proc and
    /sys lie.
    """
    have = memory_limit(root)
    scarce = have is not None and have < 1 << 30
    if (scarce or any(resource_limits(root))) and not any(
        isinstance(finder, Guard) for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, Guard())


class Guard(MetaPathFinder):
    """Python asks it first where a module is to be found: it never knows, but may object."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Raise GateswapError where there is no room for it."""
        if fullname in NEEDS:
            check_room(fullname)


def check_room(name: str, root: Path = Path("/")) -> None:
    """Raise GateswapError where limits leave less than importing the library `name` takes."""
    need = NEEDS[name]
    threads = need.thread * (_threads() - 1) * MIB
    needed = {
        "-v": need.space * MIB + threads + (_libraries_of_torch() if name == "torch" else 0),
        "-d": need.private * MIB + threads,
    }
    for limit in resource_limits(root):
        enough = limit.used + needed[limit.option] + SPARE
        if limit.most < enough:
            raise GateswapError(
                f"there is not enough memory for this: ulimit {limit.option} allows this process "
                f"{limit.most >> 10:,} KiB, and {name} needs at least {enough >> 10:,}. Say "
                f"ulimit {limit.option} unlimited, or ask who set the limit (a batch system's job "
                "asks for more memory)"
            )
    have = memory_limit(root)
    if have is not None and have < need.touched * MIB + SPARE:
        raise GateswapError(
            f"there is not enough memory for this: this machine or container has {have >> 10:,} "
            f"KiB in all, and {name} needs at least {need.touched * MIB + SPARE >> 10:,}. Give it "
            "more"
        )


def _threads() -> int:
    """Threads that an OpenBLAS or an OpenMP runtime starts."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cpus = os.cpu_count() or 1
    said = next(filter(None, (os.environ.get(name) for name in _COUNTS)), "")
    return max(1, min(int(said) if said.isdecimal() else cpus, cpus, BLAS_THREADS))


def _libraries_of_torch() -> int:
    """Bytes of the shared libraries that are mapped with torch: a build for GPUs has many more."""
    spec = PathFinder.find_spec("torch")
    folders = spec.submodule_search_locations if spec is not None else None
    return sum(file.stat().st_size for folder in folders or () for file in _shared(Path(folder)))


def _shared(torch: Path) -> Iterator[Path]:
    yield from torch.glob("lib/*.so*")
    yield from torch.parent.glob("nvidia/*/lib/*.so*")
