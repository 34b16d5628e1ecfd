"""What works on this machine and what to do about the rest: the checks behind `gateswap doctor`.

- Someone whose machine lacks something sees every check, not the first failure: each check catches
  its own trouble and reports it with a remedy.
- `needed` tells what stops Gateswap from what only makes it slower or leaves a part out.
"""

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from activations.errors import GateswapError
from studies.workspace import Workspace, writable

LIBRARIES = (
    *("gateswap", "torch", "triton", "numpy", "sympy", "scipy", "statsmodels", "pandas", "xarray"),
    *("librosa", "soundfile", "espeakng-loader", "optuna", "mlflow", "matplotlib", "pydantic"),
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; remedy is empty where nothing is to be done."""

    name: str
    ok: bool
    needed: bool
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All checks, and the versions of the libraries that are installed (None: not installed)."""

    checks: tuple[Check, ...]
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
            "versions": self.versions,
        }


def examine(workspace: Workspace) -> Diagnosis:
    """Look at everything that Gateswap uses."""
    return Diagnosis(tuple(_checks(workspace)), {name: _version(name) for name in LIBRARIES})


def _checks(workspace: Workspace) -> Iterator[Check]:
    yield Check(
        "python",
        sys.version_info >= (3, 11),
        True,
        f"{platform.python_version()} ({sys.executable})",
        "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer",
    )
    yield _attempt("torch", True, _torch, "pip install torch")
    yield _attempt("gpu", False, _gpu, "without one, training runs on the CPU")
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


def _attempt(name: str, needed: bool, look: Callable[[], str], remedy: str) -> Check:
    """What `look` finds; its error is the finding where it fails."""
    try:
        return Check(name, True, needed, look())
    except (GateswapError, ImportError, OSError, RuntimeError, LookupError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return Check(name, False, needed, reason[0], remedy)


def _torch() -> str:
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise LookupError("torch sees no CUDA device")
    return torch.cuda.get_device_name()


def _compiler() -> str:
    from activations.kernels.compiler import find_compiler

    found = find_compiler()
    return f"{found.version}, {found.features} ({found.command[0]})"


def _cache() -> str:
    from activations.kernels.compiler import cache_folder

    return str(cache_folder())


def _kernel() -> str:
    """What runs a GRU on the best device; compiles the kernel if that is to be done."""
    import torch

    from activations import get
    from activations.kernels import Cell, describe

    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wanted = "gpu" if device == "cuda" else "cpu"
    return describe(cell, implementation=wanted, device=device)


def _espeak() -> str:
    version = _version("espeakng-loader")
    if version is None:
        raise LookupError("espeakng-loader, which speaks it, is not installed")
    return f"espeakng-loader {version}"


def _workspace(workspace: Workspace) -> str:
    """Where it is or would be; nothing is created."""
    root = workspace.root.absolute()
    writable(next(folder for folder in (root, *root.parents) if folder.exists()))
    return str(root)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
