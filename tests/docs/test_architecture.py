"""docs/architecture.md is true: its picture, its rooms, its paths, and its lists when followed."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

import reports
from docs import generated, structure
from docs.figures import architecture
from reports.figures import gallery
from reports.page.page import write_report

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_what_is_generated_is_up_to_date() -> None:
    for path, content in generated.pages().items():
        assert path.read_text("utf-8") == content, f"{path.name} is out of date; run: make docs"


def test_every_box_of_the_picture_is_a_room_or_module() -> None:
    assert [box.path for box in architecture.BOXES if not (ROOT / box.path).exists()] == []


def test_every_room_says_in_one_sentence_what_it_is() -> None:
    assert [path for path, says in structure.rooms(ROOT) if not says.endswith((".", "?"))] == []


def test_every_path_in_the_lists_exists() -> None:
    start = r"(?:activations|bench|studies|reports|tests|docs)/"
    paths = set(re.findall(rf"`({start}[\w./-]*)`", PAGE))
    assert len(paths) > 20
    assert (
        sorted(p for p in paths if not re.search("[A-Z]{4}", p) and not (ROOT / p).exists()) == []
    )


def test_circles_are_found_among_modules_and_among_rooms() -> None:
    graph = {"p": set(), "p.a": {"p.b"}, "p.b": {"p.a"}, "p.c": {"p.a"}}
    assert structure.circles(graph) == [{"p.a", "p.b"}]
    rooms = {"p": set(), "p.a": set(), "p.a.x": {"p.b.x"}, "p.b": set(), "p.b.x": set()}
    assert structure.circles(rooms) == []
    assert structure.circles(rooms | {"p.b.y": {"p.a.x"}}) == [{"p.a", "p.b"}]


def test_activation_added_by_the_list_passes_every_test_of_an_activation(tmp_path: Path) -> None:
    page = _section("An activation")
    entry, oracle, command = (_code(page, language) for language in ("toml", "python", "sh"))
    name = re.search(r'name = "(\w+)"', entry)
    assert name is not None
    _copy(tmp_path, "activations", "docs", "tests", "pyproject.toml")
    with (tmp_path / "activations/catalogue/saturating.toml").open("a") as family:
        family.write(f"\n{entry}")
    _insert(tmp_path / "tests/oracles/test_activation_oracles.py", after="TEXTBOOK: ", line=oracle)
    assert command.startswith("python -m ")
    asked = f"{name[1]} or every_activation_has_an_oracle or what_is_generated or no_name_twice"
    # one process for both, for each takes seconds to import torch
    run = "import runpy, sys, pytest; runpy.run_module(sys.argv[1], run_name='__main__');"
    run += "sys.exit(pytest.main(sys.argv[2:]))"
    module = command.removeprefix("python -m ").strip()
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", asked)
    done = subprocess.run(
        [sys.executable, "-c", run, module, *options, *TESTS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" passed")[0].split()[-1]) >= 16, done.stdout


def test_figure_added_by_the_list_is_on_the_page_and_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: dict[str, Any] = {}
    exec(_code(_section("A figure"), "python"), module)
    monkeypatch.setattr(gallery, "FIGURES", (*gallery.FIGURES[:1], module["FOLDS"]))
    results = reports.example(["tanh", "relu"], ["gru"], seeds=1, utterances=40)
    page = write_report(results, tmp_path / "report").read_text("utf-8")
    assert "Fold means" in page
    assert "Mean UAR in percent. n = 5 folds" in page
    assert (tmp_path / "report" / "figures" / "folds.pdf").exists()
    fig, axes = reports.draw("folds", results)
    assert len(axes.patches) == 5
    plt.close(fig)


def test_list_for_a_statistic_names_every_file_that_one_of_them_is_in() -> None:
    listed = re.findall(r"`([\w./]+/[\w./]*)`", _section("A statistic"))
    named = re.compile(r"equivalence_test|\.equivalence\b|\bequivalence=|test_of_equivalence")
    files = [*(ROOT / "reports").rglob("*.*"), *(ROOT / "tests" / "reports").rglob("*.py")]
    found = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if file.suffix in (".py", ".html", ".toml") and named.search(file.read_text("utf-8"))
    }
    assert len(found) >= 6
    unlisted = {f for f in found if not any(f == path or f.startswith(path) for path in listed)}
    assert unlisted - {"reports/statistics/equivalence.py"} == set()  # step 1


TESTS = (
    "tests/activations/catalogue",
    "tests/activations/formula/test_facts.py",
    "tests/activations/kernels/cpu/test_recurrence.py",
    "tests/activations/test_description.py",
    "tests/docs/test_architecture.py",
    "tests/oracles/test_activation_oracles.py",
)


def _section(title: str) -> str:
    return PAGE.split(f"\n### {title}\n")[1].split("\n##")[0]


def _code(section: str, language: str) -> str:
    """The section's first block of code in that language."""
    block = re.search(rf"\n *```{language}\n(.*?)\n *```", section, re.DOTALL)
    assert block is not None
    return textwrap.dedent(block[1]) + "\n"


def _copy(to: Path, *names: str) -> None:
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, to / name)


def _insert(file: Path, *, after: str, line: str) -> None:
    lines = file.read_text("utf-8").splitlines(keepends=True)
    place = next(i for i, text in enumerate(lines) if text.startswith(after))
    file.write_text("".join([*lines[: place + 1], f"    {line}", *lines[place + 1 :]]), "utf-8")
