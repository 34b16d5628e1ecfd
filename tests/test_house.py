"""How the packages are laid out and what they show: the rules that no linter knows."""

import ast
import doctest
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("activations", "bench", "studies", "reports")
MIRRORED = ("cpu", "gpu")  # rooms with a module of the same name as the one it stands in for
LONG: dict[str, str] = {}  # longer than 400 lines, and why


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_of_a_package_share_a_name(package: str) -> None:
    names = Counter(
        path.stem
        for path in modules(package)
        if path.stem != "__init__" and path.parent.name not in MIRRORED
    )
    twice = sorted(name for name, count in names.items() if count > 1)
    assert not twice


def test_a_class_is_the_only_one_of_its_name_in_the_whole_project() -> None:
    homes: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in modules(package):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert not {name: places for name, places in homes.items() if len(places) > 1}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_is_short_or_has_a_reason(package: str) -> None:
    long = {
        path.relative_to(ROOT).as_posix()
        for path in modules(package)
        if len(path.read_text(encoding="utf-8").splitlines()) > 400
    }
    assert long == {path for path in LONG if path.startswith(f"{package}/")}


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("activations", {"numpy", "torch", "sympy", "matplotlib"}),
        ("bench", {"numpy", "torch", "sympy", "matplotlib", "pandas", "librosa", "soundfile"}),
        ("studies", {"numpy", "torch", "sympy", "pydantic", "pandas", "mlflow", "optuna", "rich"}),
        (
            "reports",
            {"numpy", "torch", "sympy", "matplotlib", "pandas", "xarray", "scipy", "jinja2"},
        ),
    ],
)
def test_importing_a_package_imports_nothing_heavy(package: str, heavy: set[str]) -> None:
    code = f"import sys, {package}; dir({package}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("package", PACKAGES)
def test_a_face_shows_what_it_has(package: str) -> None:
    face = importlib.import_module(package)
    assert set(face.__all__) <= set(dir(face))
    for name in face.__all__:
        shown = getattr(face, name)
        assert not isinstance(shown, type(sys)), f"{package}.{name} is a module"
        assert shown.__doc__


@pytest.mark.parametrize("package", PACKAGES)
def test_the_examples_of_a_face_give_what_they_print(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(package))
    assert found.attempted
    assert not found.failed
