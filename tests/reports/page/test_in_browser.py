"""The pages of reports as a browser shows them, served under a strict Content-Security-Policy."""

from pathlib import Path

import pytest

import reports
from reports.analysis.analysis import analyse
from reports.page import page as page_module
from reports.page.page import render, write_report
from tests.browser import opened, served, wider_than_their_place
from tests.reports import synthetic

pytestmark = pytest.mark.services

WIDTH = 1280


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything, runs that diverged among it."""
    results = synthetic.study(seeds=2, utterances=80, diverged=[("relu · gru", 1, 0)])
    return write_report(results, tmp_path_factory.mktemp("study") / "report").parent


def test_report_shows_every_figure_and_column_without_a_complaint(browser, report):
    with (
        served(report) as address,
        opened(browser, f"{address}/index.html", width=WIDTH) as (page, complaints),
    ):
        page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        shown = page.locator("figure img").evaluate_all("all => all.map(e => e.naturalWidth)")
        assert len(shown) == len(list((report / "figures").glob("*.svg")))
        assert all(shown)
        assert wider_than_their_place(page) == []
        assert complaints == []


def test_search_leaves_the_rows_that_hold_the_words(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "MANY", 2)
    results = reports.example(["tanh", "arelu", "relu"], ["gru"], seeds=1, utterances=24)
    (tmp_path / "index.html").write_text(render(analyse(results), [], [], ""))
    with (
        served(tmp_path) as address,
        opened(browser, f"{address}/index.html", width=WIDTH) as (page, complaints),
    ):
        rows = page.locator("#results tbody tr:visible")
        assert rows.count() == 3
        page.fill("#find", "ReLU")
        assert {text.split()[0] for text in rows.all_inner_texts()} == {"arelu", "relu"}
        page.fill("#find", "")
        assert rows.count() == 3
        assert complaints == []
