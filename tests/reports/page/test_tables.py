"""The table of a report in LaTeX, read by a parser that nobody here wrote."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pylatexenc.latexwalker import LatexWalker

from bench.escapes import latex
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.settings import Settings
from reports.page import tables
from reports.page.methods import methods_paragraph
from tests.reports import hostile, synthetic

OF_THE_TABLE = {
    *("begin", "end", "toprule", "midrule", "bottomrule", "num", "Delta", "mathrm", "pm", "\\"),
    *("cite", ",", "multicolumn", "footnotesize", "linewidth"),
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


def _settled(**settings: Any) -> Analysis:
    chosen = synthetic.variants(["tanh", "relu", "elu"], ["gru"])
    diverged = [("tanh · gru", fold, 0) for fold in range(5)]
    results = synthetic.study(chosen, seeds=2, utterances=40, diverged=diverged)
    return analyse(results, settings=Settings(**settings))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"departures": ("the margin was planned as 2",)}, "the margin was planned as 2"),
        ({"selection": "oracle"}, "no verdicts"),
        ({"primary": ("relu · gru",)}, "without a verdict: elu"),
        ({}, "depends on diverged runs: "),
    ],
)
def test_a_table_that_leaves_its_page_says_what_forbids_its_verdicts(
    settings: dict[str, Any], told: str
) -> None:
    analysis = _settled(**settings)
    for text in (tables.latex(analysis), tables.markdown(analysis)):
        printed = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        assert told in printed
        assert "gru (5 diverged)" in printed
        assert "nothing about real speech" in printed
        assert "score of a constant answer" in printed


def test_a_table_names_the_metric_that_it_is_about() -> None:
    analysis = _settled(metric="war")
    (mean,) = (c.war.mean for c in analysis.comparisons if c.variant == "relu · gru" and c.war)
    for text in (tables.latex(analysis), tables.markdown(analysis)):
        assert re.search(r"(\$\\Delta\$|Δ )WAR", text)
        assert not re.search(r"(\$\\Delta\$|Δ )UAR", text)
        assert f"{mean:+.1f}" in text.replace("\N{MINUS SIGN}", "-")
