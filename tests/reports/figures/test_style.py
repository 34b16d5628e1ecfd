"""Figures are ours alone: nobody's settings reach them, and names are drawn as they are."""

import itertools
import warnings
from xml.dom import minidom

import pytest
from matplotlib.figure import Figure

from activations import plot
from activations.drawing import own_settings
from reports.figures import letters
from reports.figures.forest import draw_rows
from reports.figures.style import BASELINE, PAGE, VariantStyle, paper_style, save
from tests.programs import Program

STYLE = VariantStyle(colour=BASELINE, marker="o", dash="-", filled=True)
SETTINGS = """
text.usetex: True
font.family: monospace
axes.facecolor: red
axes.prop_cycle: cycler('color', ['y'])
savefig.facecolor: blue
svg.fonttype: none
"""
DRAW = """
import sys, warnings
warnings.simplefilter("error")
assert "matplotlib" not in sys.modules
from pathlib import Path
from activations import plot
from tests.reports.figures.test_style import drawn
drawn(["tanh"], Path(sys.argv[1]))
plot("arelu", Path(sys.argv[1]) / "arelu.svg")
"""


def drawn(names, folder):
    fig, _ = draw_rows(
        names,
        [None] * len(names),
        groups=["gru"] * len(names),
        notes=["unfinished"] * len(names),
        styles=dict.fromkeys(names, STYLE),
        rope=1.0,
        confidence="95 %",
        baseline="tanh",
    )
    save(fig, folder, "rows", ["svg", "pdf", "png"])
    return fig


def labels_of(fig):
    return [label.get_text() for label in fig.axes[0].get_yticklabels()]


def test_neither_a_matplotlibrc_nor_a_notebooks_backend_reaches_our_figures(tmp_path, monkeypatch):
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "module://no_such.backend_inline")
    done = Program(DRAW, str(theirs)).end(200)
    assert done.returncode == 0, done.stderr
    monkeypatch.undo()
    drawn(["tanh"], ours)
    plot("arelu", ours / "arelu.svg")
    for file in ("rows.svg", "rows.png", "arelu.svg"):
        assert (theirs / file).read_bytes() == (ours / file).read_bytes(), file


def test_callers_settings_come_back_after_a_figure():
    import matplotlib as mpl

    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "red"}):
        with own_settings({"font.size": 8}):
            assert not mpl.rcParams["text.usetex"]
            assert mpl.rcParams["axes.facecolor"] == "white"
        assert mpl.rcParams["text.usetex"]
        assert mpl.rcParams["axes.facecolor"] == "red"


@pytest.mark.parametrize(
    "name", ["$x_1$ · gru", "$\\frac$", "100 % \\alpha", "鈴木 花子", "분노", "愤怒"]
)
def test_a_label_in_any_letters_is_drawn_as_it_is(name, tmp_path):
    pytest.importorskip("noto_cjk_sans_jp_regular")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's own, of a letter that no font has
        fig = drawn([name, "tanh"], tmp_path)
    assert labels_of(fig)[0] == name
    assert not fig.axes[0].get_yticklabels()[0].get_parse_math()


def test_control_characters_of_a_label_are_spelled_and_its_svg_can_be_read(tmp_path):
    fig = drawn(["a\x1b[2J\u202e · gru", "tanh"], tmp_path)
    assert labels_of(fig)[0] == "a\\x1b[2J\\u202e · gru"
    minidom.parse(str(tmp_path / "rows.svg"))


def test_a_letter_that_no_font_has_is_written_as_its_code_and_told(tmp_path, monkeypatch):
    own = letters._families()[letters.FONT]
    monkeypatch.setattr(letters, "_families", lambda: {letters.FONT: own})
    letters._fonts_for.cache_clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fig = drawn(["名 · gru", "tanh"], tmp_path)
    letters._fonts_for.cache_clear()
    assert labels_of(fig) == ["\\u540d · gru", "tanh"]
    assert len(told) == 1
    assert str(told[0].message).startswith("no font of this machine has 名: figures say \\u540d")


LONG = "+".join(f"{number}*tanh({number}.5*x)" for number in range(1, 9))


def test_long_formulas_leave_room_to_draw_in_and_stay_apart(tmp_path):
    names = [f"{LONG} · gru", f"{LONG.replace('4.5', '4.6')} · gru", f"{LONG}-x · gru", "tanh"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's own, that there is no room
        fig = drawn(names, tmp_path)
    *short, last = labels_of(fig)
    assert last == "tanh"
    assert len(set(short)) == 3
    assert all(label.startswith("1*tanh(1.5*x)+…") and len(label) < 40 for label in short)
    with paper_style():
        figure = Figure(layout="constrained", figsize=(PAGE, 2))
        for axes, name in zip(figure.subplots(1, 4), names, strict=True):
            axes.set_title(name)
    save(figure, tmp_path, "panels", ["png"])
    boxes = [axes._left_title.get_window_extent(dpi=300) for axes in figure.axes]
    assert all(one.x1 < next_.x0 for one, next_ in itertools.pairwise(boxes))
