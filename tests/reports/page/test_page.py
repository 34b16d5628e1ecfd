"""The report as a reader meets it: the page, its tables, figures and BibTeX."""

import csv
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import activations
import reports
from activations.errors import InputError
from bench.escapes import latex
from bench.features.settings import Normalise
from reports.analysis.analysis import analyse
from reports.analysis.settings import Settings
from reports.figures import cost, critical_difference, forest
from reports.figures.gallery import FIGURES, write_figures
from reports.page import tables
from reports.page.methods import bibtex, methods_paragraph
from reports.page.page import _rows, headline, render, write_report
from tests.reports import synthetic


@pytest.fixture(scope="module")
def results():
    chosen = synthetic.variants(["tanh", "relu", "arelu"])
    return synthetic.study(chosen, seeds=2, utterances=80, diverged=[("relu · gru", 1, 0)])


@pytest.fixture(scope="module")
def small():
    return synthetic.study(synthetic.variants(["tanh", "arelu"], ["gru"]), seeds=1, utterances=60)


@pytest.fixture(scope="module")
def planned(results):
    return {f"{i:032x}": result.member for i, result in enumerate(results)}


@pytest.fixture(scope="module")
def report(results, planned, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "report"
    search = synthetic.search(results)
    return write_report(results, folder, planned=planned, search=search).parent


@pytest.fixture(scope="module")
def analysis(results):
    return analyse(results)


class References(HTMLParser):
    """Collects what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "src" in found or tag == "link":
            self.loaded.append(found.get("src") or found.get("href"))
        elif tag == "a":
            self.linked.append(found["href"])


def test_page_loads_nothing_but_itself_and_links_only_to_files_beside_it(report):
    references = References()
    references.feed((report / "index.html").read_text())
    assert references.loaded
    assert all(source.startswith("data:image/svg+xml;base64,") for source in references.loaded)
    for target in references.linked:
        assert target.startswith("#") or (report / target).is_file(), target


def test_every_figure_of_a_study_with_everything_is_on_the_page_in_three_formats(report):
    page = (report / "index.html").read_text()
    names = {path.stem for path in (report / "figures").iterdir()}
    for name in names:
        assert f'id="figure-{name}"' in page
        for suffix in ("svg", "pdf", "png"):
            assert (report / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    assert names >= {figure.name for figure in FIGURES} - {"ranks", "sensitivity"}


def test_pdf_figures_embed_their_fonts_as_truetype(report):
    content = (report / "figures" / "forest.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content


def test_synthetic_speech_is_called_so_and_no_published_line_is_drawn_into_its_scores(report):
    page = (report / "index.html").read_text()
    assert "<strong>Synthetic speech.</strong>" in page
    assert "Unfinished study" not in page


def test_folder_that_holds_what_no_report_wrote_is_refused_and_stays(small, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        InputError, match=r"thesis\.txt, which no report wrote; .* move it elsewhere"
    ):
        write_report(small, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(InputError, match="is no folder for a report"):
        write_report(small, tmp_path / "thesis.txt")


def test_unfinished_study_is_reported_and_marked(small, tmp_path, two_figures):
    planned = {f"{i:032x}": result.member for i, result in enumerate(small)}
    page = write_report(small[:-3], tmp_path / "report", planned=planned).read_text()
    assert "<strong>Unfinished study.</strong> 3 runs have no result yet" in page


def test_each_run_is_named_with_its_result_file(report, results, planned):
    page = (report / "index.html").read_text()
    files = re.findall(r"<code>(results/[0-9a-f]{32}\.npz)</code>", page)
    assert files == [f"results/{key}.npz" for key in planned]


def test_json_csv_markdown_and_latex_say_the_same(report, analysis):
    told = json.loads((report / "report.json").read_text())
    with (report / "tables" / "results.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    latex = (report / "tables" / "results.tex").read_text()
    markdown = (report / "tables" / "results.md").read_text()
    for comparison in told["comparisons"]:
        mean = comparison["test"]["mean"]
        row = rows[comparison["variant"]]
        assert float(row["difference"]) == pytest.approx(mean)
        assert float(row["p_adjusted"]) == pytest.approx(comparison["p_adjusted"])
        assert f"& {mean:+.1f} &" in latex
        assert f"| {tables.signed(mean)} |" in markdown
    assert len(rows) == len(analysis.variants)


def test_same_results_give_the_same_figures_and_numbers(small, tmp_path, two_figures):
    first, again = (write_report(small, tmp_path / name).parent for name in ("a", "b"))
    for name in ("report.json", "tables/results.tex", "figures/forest.svg", "figures/scores.pdf"):
        assert (again / name).read_bytes() == (first / name).read_bytes(), name


def test_methods_paragraph_cites_only_what_the_bibtex_has(analysis):
    paragraph = methods_paragraph(analysis)
    cited = {key for keys in re.findall(r"\\cite\{([^}]+)\}", paragraph) for key in keys.split(",")}
    assert cited == set(re.findall(r"@\w+\{(\w+),", bibtex(paragraph)))
    assert {"nadeau2003", "holm1979"} <= cited
    assert "1 of 60 runs diverged" in paragraph


def test_headline_never_says_more_than_the_conclusions(analysis):
    verdicts = [comparison.conclusion.verdict for comparison in analysis.comparisons]
    said = headline(analysis)
    assert ("beats its baseline by" in said) == ("better" in verdicts)
    assert f"{verdicts.count('undecided')} undecided" in said


def test_headline_of_a_gain_too_small_to_matter_says_so_and_equal_comes_with_its_margin(analysis):
    better, equal, *others = analysis.comparisons
    gain = dataclasses.replace(better.conclusion, verdict="better")
    alike = dataclasses.replace(equal.conclusion, verdict="equal")
    open_ = (dataclasses.replace(c.conclusion, verdict="undecided") for c in others)
    others = [dataclasses.replace(c, conclusion=o) for c, o in zip(others, open_, strict=True)]
    found = dataclasses.replace(
        analysis,
        comparisons=(
            dataclasses.replace(better, conclusion=gain, equivalence_p_holm=0.01),
            dataclasses.replace(equal, conclusion=alike),
            *others,
        ),
    )
    assert "which is less than the ±1 that would matter; " in headline(found)
    assert "1 shown to be practically equal (±1)" in headline(found)


def test_a_single_figure_in_a_single_format_is_drawn_by_name(analysis, tmp_path):
    (figure,) = write_figures(analysis, tmp_path, only=["forest"], formats=["pdf"])
    assert figure.files == {"pdf": tmp_path / "forest.pdf"}
    assert [path.name for path in tmp_path.iterdir()] == ["forest.pdf"]


@pytest.mark.parametrize(
    ("names", "formats", "told"),
    [(["florest"], ["pdf"], "no figure 'florest'"), (["forest"], ["jpg"], "no format 'jpg'")],
)
def test_unknown_figures_and_formats_are_named_with_what_there_is(
    analysis, tmp_path, names, formats, told
):
    with pytest.raises(InputError, match=told):
        write_figures(analysis, tmp_path, only=names, formats=formats)


def test_a_study_of_fixed_activations_has_no_figure_of_learnt_parameters(tmp_path):
    fixed = synthetic.study(synthetic.variants(["tanh", "relu"], ["gru"]), seeds=1, utterances=60)
    with pytest.raises(InputError, match="nothing to show in figure 'parameters'"):
        write_figures(analyse(fixed), tmp_path, only=["parameters"])


def test_latex_specials_in_a_formula_are_escaped():
    assert latex("x*a_1 & 5% ^ {b}") == (r"x*a\_1 \& 5\% \textasciicircum{} \{b\}")


def test_page_of_many_variants_is_sorted_searchable_and_folds_what_has_no_verdict(
    monkeypatch,
):
    monkeypatch.setattr("reports.page.page.MANY", 5)
    monkeypatch.setattr(forest, "ROWS", 4)
    names = ["tanh", *[n for n in activations.names() if n != "tanh"][:6]]
    analysis = analyse(reports.example(names, ["gru"], seeds=1, utterances=12))
    page = render(analysis, [], [], "")
    assert '<input type="search"' in page
    assert "comparisons without a verdict" in page
    rows = _rows(analysis)
    assert rows[0]["variant"] == "tanh · gru"
    differences = [row["difference"] for row in rows[1:]]
    assert len(differences) == 6
    assert differences == sorted(differences, reverse=True)
    _, axes = forest.draw(analysis)
    assert len(axes.get_yticks()) == 4
    assert "Of 6 comparisons the 4" in forest.caption(analysis)
    # six comparisons are judged together, and the paragraph says and cites how
    paragraph = methods_paragraph(analysis)
    assert "a closed test" in paragraph
    assert "On closed testing procedures" in bibtex(paragraph)
    for figure in (cost, critical_difference):
        monkeypatch.setattr(figure, "ROWS", 4)
    _, axes = cost.draw(analysis)
    assert axes.get_legend() is None
    _, axes = critical_difference.draw(analysis)
    named = [text.get_text() for text in axes.texts if " · gru" in text.get_text()]
    assert len(named) == 4
    assert "Of 7 variants the 2 best and worst are named." in critical_difference.caption(analysis)


@pytest.mark.parametrize("name", ["iemocap", "IEMOCAP"])
def test_iemocaps_authors_are_cited_however_the_corpus_is_spelt(small, name):
    corpus = dataclasses.replace(small[0].identity.corpus, name=name, synthetic=False)
    paragraph = methods_paragraph(analyse([synthetic.of_another(r, corpus=corpus) for r in small]))
    assert r"trained on IEMOCAP \cite{busso2008}" in paragraph
    assert "interactive emotional dyadic motion capture database" in bibtex(paragraph)


@pytest.mark.parametrize("normalise", get_args(Normalise))
def test_normalisation_that_hears_test_speakers_is_called_transductive_on_the_page(
    small, normalise
):
    analysis = analyse(small, settings=Settings(normalise=normalise))
    paragraph = methods_paragraph(analysis)
    assert len(re.findall("Features were", paragraph)) == 1
    hears = normalise in ("speaker", "wearer")
    assert ("transductive normalisation; no labels are used" in paragraph) == hears
    assert ("transductive normalisation" in render(analysis, [], [], paragraph)) == hears


def _with_protocol(result, **changes):
    protocol = dataclasses.replace(result.identity.protocol, **changes)
    return synthetic.of_another(result, protocol=protocol)


def test_without_a_dev_set_nothing_is_said_of_one(small):
    analysis = analyse([_with_protocol(r, dev="none", selection="last") for r in small])
    page = render(analysis, [], [], "")
    assert "oracle − last" in page
    assert not re.search(r"<th>(Δ to baseline,<br>)?dev</th>", page)
    assert all(set(summary.uar) == {"last", "oracle"} for summary in analysis.summaries)


def test_styles_are_told_apart_only_where_the_corpus_does(small):
    silent = [dataclasses.replace(r, improvised=np.zeros_like(r.improvised)) for r in small]
    kinds = [{one.kind for one in analyse(results).subsets} for results in (small, silent)]
    assert "style" in kinds[0]
    assert "style" not in kinds[1]


def test_a_single_comparison_is_told_in_the_singular(small):
    analysis = analyse(small)
    said = render(analysis, [], [], methods_paragraph(analysis))
    drawn = [figure for figure in FIGURES if figure.name in ("forest", "scores", "selection")]
    said += " ".join(figure.caption(analysis) for figure in drawn)
    assert "1 comparison;" in said
    assert not re.search(r"\b1 (comparisons|seeds|pairs|folds|variants|runs)\b", said)
    assert not re.search(r"oracle\.\d", said)
