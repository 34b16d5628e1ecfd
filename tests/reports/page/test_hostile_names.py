"""A study whose every name is hostile: none of them is code, in any format of its report."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.page.page import write_report
from tests.browser import opened, served
from tests.reports import hostile

pytestmark = pytest.mark.services

PAPER = r"""\documentclass{article}
\usepackage{booktabs,siunitx}
\begin{document}
\input{TABLES/results.tex}

\input{methods.tex}
\end{document}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report."""
    folder = tmp_path_factory.mktemp("study") / "report"
    return write_report(hostile.study(("tanh", "relu")), folder, baseline=hostile.BASELINE).parent


def test_tex_typesets_the_table_and_the_methods_of_hostile_names_and_obeys_none(
    report: Path, tmp_path: Path
) -> None:
    _able("pdflatex", "booktabs.sty", "siunitx.sty")
    (tmp_path / "methods.tex").write_text(
        json.loads((report / "report.json").read_text())["methods"]
    )
    (tmp_path / "paper.tex").write_text(PAPER.replace("TABLES", str(report / "tables")))
    before = {path.name for path in tmp_path.iterdir()}
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-recorder", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=200,
    )
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert done.returncode == 0, log[-3_000:]
    assert "runsystem" not in log  # what TeX writes of each \\write18, also of one it does not run
    written = {path.name for path in tmp_path.iterdir()} - before
    assert written == {f"paper.{suffix}" for suffix in ("aux", "fls", "log", "pdf")}
    read = re.findall(r"^INPUT (.*)$", (tmp_path / "paper.fls").read_text(), flags=re.MULTILINE)
    assert "/etc/passwd" not in read
    assert any(path.endswith("results.tex") for path in read)


def _able(program: str, *packages: str) -> None:
    """Skip the test where there is no such TeX."""
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}, of TeX Live")
    for package in packages:
        if subprocess.run(["kpsewhich", package], capture_output=True, timeout=60).returncode:
            pytest.skip(f"this TeX has no {package}")


def test_cells_of_hostile_names_are_run_by_no_spreadsheet(report: Path) -> None:
    with (report / "tables" / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(not row["variant"].startswith(("=", "+", "-", "@")) for row in rows)


def test_markdown_of_hostile_names_keeps_its_columns(report: Path) -> None:
    head, *rows = (report / "tables" / "results.md").read_text().split("\n\n")[0].splitlines()
    columns = {len(re.findall(r"(?<!\\)\|", row)) for row in (head, *rows)}
    assert len(columns) == 1
    assert "<script" not in (report / "tables" / "results.md").read_text().replace("\\<", "")


def test_the_page_of_hostile_names_holds_no_tag_of_theirs(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<img src=x" not in page
    assert "<script>document.title" not in page
    json.loads((report / "report.json").read_text())
    assert not any(re.search(r"[^\w.-]", path.name) for path in report.rglob("*"))


def test_a_browser_under_a_strict_policy_runs_nothing_of_hostile_names(browser, report) -> None:
    with (
        served(report) as address,
        opened(browser, f"{address}/index.html", width=1280) as (page, complaints),
    ):
        page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert page.title() != "taken"
        assert page.locator("body").inner_text().count("document.title='taken'")
        images = page.locator("figure img").evaluate_all("all => all.map(e => e.naturalWidth)")
        assert images
        assert all(images)
        assert complaints == []
