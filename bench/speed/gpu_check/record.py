"""What a GPU check has found so far: a JSON file for programs, a page beside it, always whole."""

import importlib.util
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from activations.errors import InputError
from activations.files import write_atomically
from bench.speed.gpu_check.summary import markdown

ROOT = Path(__file__).parents[3]
NAME, PAGE = "gpu-check.json", "gpu-check.md"


class Record:
    """What was found so far, in memory and in the folder's two files."""

    def __init__(self, folder: Path, found: dict[str, Any]) -> None:
        self.folder = folder
        self.found = found

    @classmethod
    def new(cls, folder: Path, *, quick: bool, device: str) -> "Record":
        """An empty one; what the folder holds is written over."""
        return cls(folder, {"environment": environment(device), "quick": quick, "parts": {}})

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """The one that the folder holds. Raises FileNotFoundError where it holds none."""
        return cls(folder, json.loads((folder / NAME).read_text(encoding="utf-8")))

    def check_same_machine(self, device: str) -> None:
        """Raise InputError where this record was made on another machine or by other code."""
        now, then = environment(device), self.found["environment"]
        differing = [name for name in now if name != "date" and now[name] != then.get(name)]
        if differing:
            raise InputError(
                f"{self.folder / NAME} was made with another {', '.join(differing)}; "
                "give another --output"
            )

    def part(self, name: str) -> dict[str, Any]:
        """What is known of a part; empty where it did not run."""
        found: dict[str, Any] = self.found["parts"].get(name, {})
        return found

    def failed(self, name: str) -> bool:
        """Whether a part ended in an error, or its tests did not pass."""
        part = self.part(name)
        return "error" in part or not part.get("passed", True)

    def put(self, part: str, **values: Any) -> None:
        """Add to a part, and write both files."""
        self.found["parts"].setdefault(part, {}).update(values)
        for name, text in (
            (NAME, json.dumps(self.found, ensure_ascii=False, indent=1) + "\n"),
            (PAGE, markdown(self.found)),
        ):
            write_atomically(self.folder / name, text)


def environment(device: str) -> dict[str, Any]:
    """What the figures depend on: date, device, driver, versions, commit."""
    cuda = device == "cuda"
    about: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name() if cuda else platform.machine(),
        "driver": _said(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "triton": _triton_version(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "commit": _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
    }
    if cuda:
        properties = torch.cuda.get_device_properties()
        about["capability"] = f"{properties.major}.{properties.minor}"
        about["memory_gib"] = round(properties.total_memory / 2**30, 1)
    return about


def _said(command: Sequence[str]) -> str | None:
    """A program's first line, None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.splitlines()), None)


def _triton_version() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return None
    import triton

    return str(triton.__version__)
