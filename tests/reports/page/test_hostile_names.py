"""A study whose every name is hostile: none of them is code, in any format of its report."""

import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.data.members import Activation, Variant
from bench.training.results import MemberResult
from reports.page.page import write_report
from tests.browser import opened, served
from tests.reports import synthetic

pytestmark = pytest.mark.services

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
TEX = "\n\\immediate\\write18{touch /tmp/taken}$a$b%"
CELL = "=cmd|' /C calc'!A1"
NAME = f"{CELL} {SCRIPT} {TEX} | `x` \x1b[2J\u202e"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report."""
    results = [_hostile(result) for result in synthetic.study(seeds=2, utterances=60)]
    folder = tmp_path_factory.mktemp("study") / "report"
    return write_report(results, folder, baseline=f"{NAME} tanh").parent


def _hostile(result: MemberResult) -> MemberResult:
    identity = result.identity
    variant = identity.member.variant
    renamed = Variant(
        Activation(f"{NAME} {variant.activation.name}", variant.activation.text),
        variant.update,
        variant.reset,
        variant.direction,
        variant.reset_order,
    )
    member = dataclasses.replace(identity.member, variant=renamed, fold=f"{NAME} {result.fold}")
    names = {name: f"{NAME} {name}" for name in result.classes}
    protocol = dataclasses.replace(
        identity.protocol, classes=tuple(names[name] for name in result.classes), merge={}
    )
    corpus = dataclasses.replace(identity.corpus, name=NAME)
    return dataclasses.replace(
        result,
        identity=dataclasses.replace(identity, member=member, protocol=protocol, corpus=corpus),
        classes=protocol.classes,
        speakers=np.array([f"{NAME} {speaker}" for speaker in result.speakers]),
        dialogs=np.array([f"{NAME} {dialog}" for dialog in result.dialogs]),
    )


def test_latex_of_hostile_names_is_text(report: Path) -> None:
    text = (report / "tables" / "results.tex").read_text()
    assert "write18" in text
    assert not re.search(r"\\(?:immediate|write)", text)
    first, *rest = text.splitlines()
    assert first.startswith("% ")
    known = (
        r"\\(?:begin|end|toprule|midrule|bottomrule|num|Delta|mathrm|pm|cdot|text\w+|symbol|"
        r"[&%$#_{},\\ ])"
    )
    assert not re.search(r"\\", re.sub(known, "", "\n".join(rest)))


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
