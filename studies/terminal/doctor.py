"""What works on this machine and what to do about the rest: the checks behind `gateswap doctor`.

- Someone whose machine lacks something sees every check, not the first failure: each check catches
  its own trouble and reports it with a remedy.
- `needed` tells what stops Gateswap from what only makes it slower or leaves a part out.
"""

import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from typing import Any

from activations.errors import GateswapError, on_one_line
from activations.wording import counted
from studies.reaching import reach, whole
from studies.storages import PRODUCTS, Product, storage_of
from studies.workspace import Workspace, writable

LIBRARIES = (
    *("gateswap", "torch", "triton", "numpy", "sympy", "scipy", "pandas", "xarray"),
    *("librosa", "soundfile", "espeakng-loader", "optuna", "mlflow", "matplotlib", "pydantic"),
)
OLDEST = (8, 0)  # compute capability: the first with tf32 and bf16 products, which Triton asks


@dataclass(frozen=True)
class Diagnostic:
    """One thing that was looked at; remedy is empty where nothing is to be done."""

    name: str
    ok: bool
    needed: bool
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Gpu:
    """A GPU as torch sees it; memory in bytes, capability as in "9.0"."""

    device: str
    name: str
    memory_bytes: int
    free_bytes: int
    compute_capability: str

    def __str__(self) -> str:
        total, free = (f"{each / 2**30:.1f} GiB" for each in (self.memory_bytes, self.free_bytes))
        return (
            f"{self.name}, {total} of memory, {free} free, compute capability "
            f"{self.compute_capability}, Triton {_version('triton') or 'not installed'}"
        )


@dataclass(frozen=True)
class Diagnosis:
    """All checks, the GPUs, and the versions of installed libraries (None: not installed)."""

    checks: tuple[Diagnostic, ...]
    gpus: tuple[Gpu, ...]
    versions: dict[str, str | None]

    @property
    def ok(self) -> bool:
        """Whether everything that is needed works."""
        return all(check.ok for check in self.checks if check.needed)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "ok": self.ok,
            "checks": [asdict(check) for check in self.checks],
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "versions": self.versions,
        }


def examine(workspace: Workspace) -> Diagnosis:
    """Look at everything that Gateswap uses."""
    gpus, trouble = _look_for_gpus()
    versions = {name: _version(name) for name in LIBRARIES}
    return Diagnosis(tuple(_checks(workspace, gpu_checks(gpus, trouble))), gpus, versions)


def _checks(workspace: Workspace, of_gpus: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    yield Diagnostic(
        "python",
        sys.version_info >= (3, 11),
        True,
        f"{platform.python_version()} ({sys.executable})",
        "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer",
    )
    yield _attempt("torch", True, _torch, "pip install torch")
    yield from of_gpus
    compiler = "install gcc or clang (Debian: apt install gcc; macOS: xcode-select --install)"
    yield _attempt("compiler", False, _compiler, f"{compiler}; without it training is slow")
    yield _attempt("kernel cache", False, _cache, "set XDG_CACHE_HOME to a folder of yours")
    yield _attempt("kernel", False, _kernel, "training runs on the slow reference until it works")
    yield _attempt("demo corpus", False, _espeak, "pip install 'gateswap[demo]'")
    yield _attempt(
        "workspace",
        True,
        lambda: _workspace(workspace),
        "choose another folder with --workspace",
    )
    for product in PRODUCTS:
        yield _attempt(
            f"{product.lower()} storage",
            False,
            partial(_storage, workspace, product),
            "training goes on without it, and gateswap mirror adds later what it missed",
        )
    yield _attempt(
        "features",
        False,
        lambda: _features(workspace),
        "delete that folder; the next run computes its features again",
    )


def _attempt(name: str, needed: bool, look: Callable[[], str], remedy: str) -> Diagnostic:
    """What `look` finds; its error is the finding where it fails."""
    try:
        return Diagnostic(name, True, needed, look())
    except (GateswapError, ImportError, OSError, RuntimeError, LookupError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return Diagnostic(name, False, needed, reason[0], remedy)


def _torch() -> str:
    import torch

    return f"{torch.__version__}, {counted(torch.get_num_threads(), 'thread')}"


def _look_for_gpus() -> tuple[tuple[Gpu, ...], str]:
    """The GPUs, or what went wrong with looking at them."""
    try:
        return tuple(_gpus()), ""
    except (ImportError, RuntimeError) as error:
        return (), f"{type(error).__name__}: {error}".splitlines()[0]


def _gpus() -> Iterator[Gpu]:
    import torch

    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        major, minor = torch.cuda.get_device_capability(index)
        name = torch.cuda.get_device_name(index)
        yield Gpu(f"cuda:{index}", name, total, free, f"{major}.{minor}")


def gpu_checks(gpus: Sequence[Gpu], trouble: str = "") -> Iterator[Diagnostic]:
    """One check of each GPU, named gpu, gpu 1, …; one that says what to install where none is."""
    if trouble:
        yield Diagnostic(
            "gpu", False, False, trouble, "see whether nvidia-smi shows the GPUs in order"
        )
    elif not gpus:
        yield Diagnostic("gpu", False, False, *_no_gpu())
    for number, gpu in enumerate(gpus):
        remedy = ""
        if _version("triton") is None:
            remedy = "pip install triton; without it training runs on the slow reference"
        elif tuple(map(int, gpu.compute_capability.split("."))) < OLDEST:
            remedy = f"its compute capability is below {OLDEST[0]}.{OLDEST[1]}: --device cpu"
        name = f"gpu {number}" if number else "gpu"
        yield Diagnostic(name, not remedy, False, str(gpu), remedy)


def _no_gpu() -> tuple[str, str]:
    """Why torch sees no GPU, and what to do for one."""
    import torch

    without = "without one, training runs on the CPU; for one: "
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            "torch sees no CUDA device: it was built without CUDA",
            f"{without}an NVIDIA driver, and a torch for CUDA from https://pytorch.org/get-started",
        )
    return (
        f"torch, built for CUDA {torch.version.cuda}, sees no CUDA device",
        f"{without}an NVIDIA driver (nvidia-smi shows the GPUs), and none hidden by "
        "CUDA_VISIBLE_DEVICES",
    )


def _compiler() -> str:
    from activations.kernels.cpu.compiler import find_compiler

    found = find_compiler()
    features = f"{found.features}, bfloat16" if found.bfloat16 else found.features
    return f"{found.version}, {features} ({found.command[0]})"


def _cache() -> str:
    from activations.kernels.cache import cache_folder

    return str(cache_folder())


def _kernel() -> str:
    """What runs a GRU on the best device: compiled if that is to be done, and then run."""
    import torch

    from activations import GRU, get
    from activations.kernels.cell import Cell
    from activations.kernels.dispatch import describe

    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wanted = "gpu" if device == "cuda" else "cpu"
    found = describe(cell, 4, implementation=wanted, device=device)
    states, _ = GRU(3, 4, device=device)(torch.ones(2, 1, 3, device=device))
    if not bool(((states.abs() > 0) & (states.abs() < 1)).all()):
        raise RuntimeError(f"{found} computes what no GRU does")
    return found


def _espeak() -> str:
    version = _version("espeakng-loader")
    if version is None:
        raise LookupError("espeakng-loader, which speaks it, is not installed")
    from bench.corpora.demo import speak

    command = [sys.executable, "-P", speak.__file__]
    done = subprocess.run(command, input="[]", capture_output=True, text=True, timeout=60)
    if done.returncode:  # its library or its voices
        raise OSError((done.stderr.strip().splitlines() or ["espeak-ng does not start"])[-1])
    return f"espeakng-loader {version}"


def _workspace(workspace: Workspace) -> str:
    """Where it is or would be; nothing is created."""
    root = workspace.root.absolute()
    writable(next(folder for folder in (root, *root.parents) if folder.exists()))
    return str(root)


def _storage(workspace: Workspace, product: Product) -> str:
    """Where a mirror is and who says so; nothing is created. Raises GateswapError for silence."""
    storage = storage_of(workspace, product)
    if storage.file and not storage.file.exists():
        return f"SQLite, {storage.shown} (nothing there yet)"
    try:
        reach(storage)
        if storage.file:
            whole(storage.file)
    except Exception as error:  # whatever a driver raises
        reason = storage.hidden(on_one_line(error))
        raise GateswapError(f"{storage.shown} does not answer: {reason}") from None
    by = f", given by {storage.given_by}" * bool(storage.given_by)
    return f"{'SQLite, ' * bool(storage.file)}{storage.shown} answers{by}"


def _features(workspace: Workspace) -> str:
    """How many feature stores there are, all compared with their checksums in full."""
    from bench.features.frames import verify

    stores = sorted(path.parent for path in workspace.features.glob("[!.]*/settings.json"))
    for store in stores:
        verify(store)
    as_written = counted(len(stores), "store as it was", "stores as they were")
    return f"{as_written} written" if stores else "none yet"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
