"""The table of a report in LaTeX, read by a parser that nobody here wrote."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pylatexenc.latexwalker import LatexWalker

from bench.escapes import latex
from reports.analysis.analysis import Analysis, analyse
from reports.page import tables
from reports.page.methods import methods_paragraph
from tests.reports import hostile

OF_THE_TABLE = {
    *("begin", "end", "toprule", "midrule", "bottomrule", "num", "Delta", "mathrm", "pm", "\\"),
    *("cite", ","),
}
OF_TEXT = {
    *("textbackslash", "textasciitilde", "textasciicircum", "textasciigrave"),
    *("textless", "textgreater", "textbar", "symbol", "cdot", *"&%$#_{}"),
}


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    results = hostile.study(("tanh", "relu"), seeds=1)
    return analyse(results, baseline=hostile.BASELINE)


def _nodes(text: str) -> list[Any]:
    """Every part of a text in LaTeX, those within others too; the parser forgives nothing."""
    walker = LatexWalker(text, tolerant_parsing=False)
    nodes, _, length = walker.get_latex_nodes()
    assert length == len(text)
    return list(_all(nodes))


def _all(nodes: Any) -> Iterator[Any]:
    for node in filter(None, nodes or ()):
        yield node
        yield from _all(getattr(node, "nodelist", None))
        yield from _all(getattr(getattr(node, "nodeargd", None), "argnlist", None))


def _named(nodes: list[Any], kind: str) -> set[str]:
    """The names of commands ("macroname") or of environments."""
    return {getattr(node, kind) for node in nodes if hasattr(node, kind)}


def test_a_table_of_hostile_names_holds_the_commands_that_we_wrote(analysis: Analysis) -> None:
    text = tables.latex(analysis)
    nodes = _nodes(text)
    assert _named(nodes, "macroname") <= OF_THE_TABLE | OF_TEXT
    assert _named(nodes, "environmentname") == {"tabular"}
    comments = [node for node in nodes if hasattr(node, "comment")]
    assert len(comments) == 1
    assert comments[0].pos == 0
    rows = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert len(rows) == len(analysis.summaries)
    assert all(len(re.findall(r"(?<!\\)&", row)) == 7 for row in rows)
    assert all("write18" in row for row in rows)


def test_methods_of_hostile_names_hold_the_commands_that_we_wrote(analysis: Analysis) -> None:
    text = methods_paragraph(analysis)
    nodes = _nodes(text)
    assert _named(nodes, "macroname") <= {"cite"} | OF_TEXT
    assert not _named(nodes, "environmentname")
    for name in (analysis.corpus, analysis.baseline, *analysis.classes):
        assert latex(name) in text
