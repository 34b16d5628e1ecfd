"""Text from outside, in each format that others read: what comes back is what was given."""

import csv
import re
from io import StringIO
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pylatexenc.latexwalker import (
    LatexCharsNode,
    LatexGroupNode,
    LatexMacroNode,
    LatexMathNode,
    LatexWalker,
)

from activations.errors import one_line, printable
from bench.escapes import csv_cell, latex, markdown

HOSTILE = '\n\\immediate\\write18{touch /tmp/x}\n% &$a$b #_{}~^"`<script>|=1+1\x1b[2J\u202e\x00'
LATEX_WORDS = {
    *(r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\symbol{34}"),
    *(r"\textasciigrave{}", r"\textless{}", r"\textgreater{}", r"\textbar{}", r"$\cdot$"),
    *(f"\\{c}" for c in "&%$#_{}"),
    *("{}", "{[}", "{*}"),
}

CHARACTERS = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textasciigrave": "`",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
}


@given(st.text())
def test_latex_is_text_and_the_escapes_alone(text: str) -> None:
    rest = latex(text)
    for word in sorted(LATEX_WORDS, key=len, reverse=True):
        rest = rest.replace(word, "")
    assert not set(rest) & set("\\&%$#_{}~^\n\r")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\xa0")))
@example(HOSTILE)
@example("a--b ''c'' ,,d -----")
def test_a_parser_of_latex_that_forgives_nothing_reads_the_text_that_was_given(text: str) -> None:
    nodes, _, length = LatexWalker(latex(text), tolerant_parsing=False).get_latex_nodes()
    assert length == len(latex(text))
    assert _shown(nodes) == one_line(text)


def _shown(nodes: list[Any]) -> str:
    """What LaTeX prints of these parts, by its own names of characters; no other is known."""
    text, rest = "", iter(nodes)
    for node in rest:
        if node.isNodeType(LatexCharsNode):
            text += node.chars
        elif node.isNodeType(LatexGroupNode):
            text += _shown(node.nodelist)
        elif node.isNodeType(LatexMathNode):
            text += {r"$\cdot$": "·"}[node.latex_verbatim()]
        elif node.isNodeType(LatexMacroNode) and node.macroname == "symbol":
            text += chr(int(_shown([next(rest)])))
        else:
            assert node.isNodeType(LatexMacroNode), node
            text += CHARACTERS.get(node.macroname, node.macroname)
    return text


@pytest.mark.parametrize("name", ["[5pt]x", "*x", " [", "*"])
def test_the_first_cell_of_a_row_is_no_argument_of_the_row_before(name: str) -> None:
    assert latex(name).startswith("{")


def test_a_command_for_latex_becomes_text_on_one_line() -> None:
    assert r"\textbackslash{}immediate\textbackslash{}write18\{touch" in latex(HOSTILE)
    assert "\n" not in latex(HOSTILE)


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_no_cell_of_a_csv_file_begins_with_what_a_spreadsheet_runs(cells: list[str]) -> None:
    out = StringIO()
    csv.writer(out).writerow([csv_cell(cell) for cell in cells])
    (row,) = list(csv.reader(StringIO(out.getvalue()))) or [[]]
    assert len(row) == len(cells) or cells == [""]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@pytest.mark.parametrize("cell", ["=1+1", " =1+1", "\t=1", "-x", "@SUM(A1)", "\n=1"])
def test_a_formula_of_a_spreadsheet_is_quoted(cell: str) -> None:
    assert csv_cell(cell).startswith("'")


def test_a_plain_name_stays_as_it_is_in_csv() -> None:
    assert csv_cell("tanh · gru") == "tanh · gru"


@given(st.text())
def test_a_cell_of_markdown_keeps_to_its_cell(text: str) -> None:
    written = markdown(text)
    assert "\n" not in written
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<`*\[]", written)


@given(st.text())
def test_nothing_reaches_a_terminal_that_it_would_obey(text: str) -> None:
    shown = printable(text)
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in shown)
    shown.encode()  # also halves of pairs
    if text.isprintable():
        assert shown == text
