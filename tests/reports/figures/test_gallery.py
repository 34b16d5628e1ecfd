"""Figures by name: on axes of the caller's, on new ones, and what a wrong number of axes says."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import activations
import reports
from activations.errors import InputError
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.sensitivity import SearchedSetting
from reports.analysis.settings import Settings
from reports.figures import many_lines
from reports.figures.gallery import FIGURES, draw, find
from reports.figures.style import styles_of
from reports.page.page import render
from tests.reports import synthetic

mpl.use("Agg")

OPTUNAS = ("importance", "history", "slice")
TELLING = (  # a row, a panel or a line for every variant
    *("forest", "scores", "slopegraph", "better", "selection", "subsets", "speakers"),
    *("confusion", "curves", "gates", "reach"),
)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    chosen = synthetic.variants(["tanh", "arelu", "elu"], ["gru"])
    runs = synthetic.study(chosen, seeds=2, utterances=40)
    found = analyse(runs, search=synthetic.search(runs))
    assert found.ranks is not None
    tried = SearchedSetting("learning_rate", ("tanh · gru",) * 2, (1e-4, 1e-2), (50.0, 60.0))
    return dataclasses.replace(
        found, searched=(tried,), ranks=dataclasses.replace(found.ranks, reachable=True)
    )


@pytest.fixture(scope="module")
def large() -> Analysis:
    names = ["tanh", *[name for name in activations.names() if name != "tanh"][:44]]
    return analyse(
        synthetic.study(synthetic.variants(names, ["gru"]), folds=3, seeds=1, utterances=12)
    )


def test_noise_floor_is_in_the_forest_and_behind_each_baselines_mean(analysis: Analysis) -> None:
    floor = analysis.noise
    assert floor is not None
    _, axes = draw("forest", analysis)
    dashed = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert sorted(dashed) == [-floor.averaged, floor.averaged]
    _, axes = draw("scores", analysis)
    boxes = [box.get_paths()[0].get_extents() for box in axes.collections]
    tanh = next(s for s in analysis.summaries if s.baseline is None).score(analysis.settings).mean
    assert len(boxes) == len(analysis.variants)
    for box in boxes:
        assert box.x0 == pytest.approx(tanh - floor.averaged)
        assert box.x1 == pytest.approx(tanh + floor.averaged)
    said = render(analysis, [], [], "")
    assert f"in nothing but the seed lie up to ±{floor.single:.1f} points UAR apart" in said
    assert f"means of 2 such seeds up to ±{floor.averaged:.1f}" in said
    for name in ("forest", "scores"):
        assert "noise floor" in find(name).caption(analysis)


def test_there_are_no_rings_where_no_test_is_due() -> None:
    chosen = synthetic.variants(["tanh", "relu"], ["gru"])
    runs = synthetic.study(chosen, seeds=2, utterances=150, effects={"relu": -3.0})
    for settings, rings in ((Settings(), True), (Settings(selection="oracle"), False)):
        found = analyse(runs, settings=settings)
        _, axes = draw("speakers", found)
        assert bool(axes.patches) == rings
        assert ("Ringed" in find("speakers").caption(found)) == rings


def test_p_that_carries_no_verdict_is_marked_in_the_forest() -> None:
    chosen = synthetic.variants(["tanh", "arelu", "elu"], ["gru"])
    lost = [("tanh · gru", fold, 0) for fold in range(5)]
    runs = synthetic.study(chosen, seeds=2, utterances=80, diverged=lost)
    found = analyse(runs, settings=Settings(primary=("arelu · gru",)))
    assert found.comparisons[0].conclusion.verdict == "depends on diverged runs"
    _, axes = draw("forest", found)
    notes = [text.get_text() for text in axes.texts if "p " in text.get_text()]
    assert sum(note.endswith("†") for note in notes) == 1
    assert sum(note.startswith("(p ") for note in notes) == 1
    assert "p in brackets: exploratory, †: depends on diverged runs" in axes.get_xlabel()
    caption = find("forest").caption
    for settings, said in (
        (Settings(selection="oracle"), "no verdicts"),
        (Settings(departures=("the margin",)), "exploratory: no verdicts"),
    ):
        assert said in caption(analyse(runs, settings=settings))


def test_learnt_parameters_of_many_runs_are_bands_and_of_few_are_lines(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = draw("parameters", analysis)[1].flat[0]
    assert len(few.lines) > 2
    assert not few.collections
    monkeypatch.setattr(many_lines, "MOST_LINES", 1)
    many = draw("parameters", analysis)[1].flat[0]
    assert len(many.lines) == 2  # initial value and mean
    runs = np.array([line.get_ydata() for line in few.lines[1:-1]])
    wide = many.collections[0].get_paths()[0].vertices[:, 1]
    assert wide.max() == pytest.approx(np.quantile(runs, 0.95, axis=0).max())
    assert wide.min() == pytest.approx(np.quantile(runs, 0.05, axis=0).min())
    shapes = draw("activations", analysis)[1].flat
    assert sum(len(panel.collections) for panel in shapes) == 2  # of the one that learns


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_figure_is_drawn_onto_the_axes_it_is_given(figure, analysis):
    drawing = figure.draw(analysis, None)
    assert drawing is not None
    if figure.name in OPTUNAS:
        with pytest.raises(InputError, match="axes of its own"):
            figure.draw(analysis, Figure().subplots())
        return
    wanted = len(drawing[0].axes) - (figure.name == "better")  # its colour bar has axes of its own
    mine = Figure()
    axes = mine.subplots(1, wanted, squeeze=False)[0]
    fig, _ = figure.draw(analysis, axes[0] if wanted == 1 else axes)
    assert fig is mine
    assert all(one.has_data() or one.texts for one in axes if one.axison)
    assert any(one.has_data() for one in axes)
    assert figure.caption(analysis).endswith(".")


@pytest.mark.parametrize("name", TELLING)
def test_figure_of_a_large_study_fits_a_page_and_says_what_it_leaves_out(name, large):
    figure = find(name)
    drawn = figure.draw(large, None)
    assert drawn is not None
    assert drawn[0].get_size_inches()[1] < 11
    labels = {text.get_text() for text in drawn[0].findobj(Text)}
    shown = {c.variant for c in large.comparisons if c.variant in labels}
    strongest = max(large.comparisons, key=lambda c: abs(c.test.statistic))
    assert strongest.variant in shown
    assert 10 < len(shown) < len(large.comparisons) == 44
    assert f"Of 44 comparisons the {len(shown)} with a verdict or the largest t" in figure.caption(
        large
    )


@pytest.mark.parametrize("name", ["scores", "gates", "selection", "better"])
def test_baseline_heads_what_is_shown_of_a_large_study(name, large):
    _, axes = find(name).draw(large, None)
    first = np.ravel(axes)[0].get_yticklabels()[0].get_text()
    assert first == "tanh · gru"


def test_rings_of_a_large_study_are_corrected_for_the_comparisons_that_are_not_shown(large):
    assert "Holm over the cells of all comparisons" in find("subsets").caption(large)


def test_another_number_of_axes_is_refused_with_what_it_needs(analysis):
    with pytest.raises(InputError, match="2 panels \\(1 × 2\\), not 3"):
        draw("curves", analysis, axes=Figure().subplots(1, 3))
    with pytest.raises(InputError, match=r"1 panel \(1 × 1\), not 2"):
        draw("forest", analysis, axes=Figure().subplots(1, 2))


def test_drawing_without_axes_opens_one_pyplot_figure_and_none_where_there_is_nothing(analysis):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    fig, axes = reports.draw("cost", analysis)
    assert axes in fig.axes
    assert len(plt.get_fignums()) == len(before) + 1
    plt.close(fig)
    with pytest.raises(InputError, match="nothing to show in figure 'sensitivity'"):
        reports.draw("sensitivity", dataclasses.replace(analysis, searched=()))
    assert plt.get_fignums() == before


def test_writing_figures_leaves_the_backend_and_the_open_figures_alone(analysis, tmp_path):
    import matplotlib.pyplot as plt

    from reports.figures.gallery import write_figures

    mpl.use("svg")
    try:
        before = plt.get_fignums()
        write_figures(analysis, tmp_path, only=["cost"], formats=["png"])
        assert (mpl.get_backend(), plt.get_fignums()) == ("svg", before)
    finally:
        mpl.use("Agg")


def test_variants_of_a_family_share_their_colour_and_differ_in_marker():
    found = analyse(synthetic.study(synthetic.variants(["tanh", "elu"]), folds=2, seeds=1))
    styles = styles_of(found)
    assert styles["elu · gru"].colour == styles["elu · bigru"].colour != styles["tanh · gru"].colour
    assert styles["elu · gru"].marker != styles["elu · bigru"].marker
