"""Studies of several corpora: what is put together, what is refused, and what the page says."""

import json

import numpy as np
import pytest

from activations.errors import InputError
from bench.training.identity import CorpusIdentity
from reports.analysis.across_corpora import across_corpora
from reports.analysis.analysis import analyse
from reports.analysis.settings import Settings
from reports.page.across import headline, write_across
from reports.statistics.synthesis import random_effects
from tests.reports import synthetic


def of_corpus(number, *, activations=("tanh", "elu", "relu"), selection="dev", **design):
    results = synthetic.study(
        synthetic.variants(activations, ["gru"]),
        seed=number,
        selection=selection,
        **{"seeds": 1, "utterances": 40} | design,
    )
    corpus = CorpusIdentity(name=f"corpus {number}", fingerprint=f"{number}" * 16, synthetic=False)
    return [synthetic.of_another(r, study=f"study{number}", corpus=corpus) for r in results]


def together(studies, planned=None):
    analyses = [
        analyse(results, planned=members)
        for results, members in zip(studies, planned or [()] * len(studies), strict=True)
    ]
    return across_corpora(analyses, [r[0].identity.corpus.fingerprint for r in studies]), analyses


@pytest.fixture(scope="module")
def three():
    return [of_corpus(1), of_corpus(2, folds=4), of_corpus(3, activations=("tanh", "elu"))]


@pytest.fixture(scope="module")
def found(three):
    return together(three)


def test_each_corpus_counts_with_the_standard_error_of_its_own_corrected_test(found):
    across, analyses = found
    elu = across.variants[0]
    tests = [analysis.comparison("elu · gru").by_selection["dev"] for analysis in analyses]
    alone = random_effects([t.mean for t in tests], [t.standard_error for t in tests])
    assert elu.variant == "elu · gru"
    assert elu.synthesis.mean == alone.mean
    # by hand: Holm over a family of two
    small, large = sorted(v.synthesis.p for v in across.variants)
    adjusted = sorted(v.p_holm for v in across.variants)
    assert adjusted == pytest.approx([min(1.0, 2 * small), max(min(1.0, 2 * small), large)])
    assert [part.study for part in elu.corpora] == ["study1", "study2", "study3"]


def test_a_variant_of_two_of_three_corpora_is_put_together_from_these(found):
    relu = found[0].variants[1]
    assert [part.study for part in relu.corpora] == ["study1", "study2"]
    assert relu.synthesis.corpora == 2
    assert "Two corpora say little about a third." in relu.sentence


def test_page_has_scores_in_columns_of_their_own_and_the_forest_in_three_formats(three, tmp_path):
    page = write_across(three, tmp_path / "across")
    text = page.read_text()
    for study in ("study1", "study2", "study3"):
        assert f"<th>{study}<br>UAR</th>" in text
    told = json.loads((page.parent / "across.json").read_text())
    assert {v["variant"] for v in told["variants"]} == {"elu · gru", "relu · gru"}
    for suffix in ("svg", "pdf", "png"):
        assert (page.parent / f"corpora.{suffix}").stat().st_size > 1000
    assert 'src="data:image/svg+xml;base64,' in text


def test_two_corpora_are_called_very_few(three, tmp_path):
    text = write_across(three[:2], tmp_path / "across").read_text()
    assert "Two corpora are very few." in text
    assert "12.7 standard errors" in text


def test_unfinished_study_or_oracle_selection_gives_estimates_without_a_verdict(three):
    members = [r.member for r in three[0]]
    across, _ = together([three[0][:-1], three[1]], [members, ()])
    assert {v.verdict for v in across.variants} == {"not compared"}
    assert "study1: Interim: 1 of " in headline(across)
    assert all(np.isnan(v.p_holm) and " p " not in v.sentence for v in across.variants)
    across, _ = together([of_corpus(1, selection="oracle"), of_corpus(2, selection="oracle")])
    assert {v.verdict for v in across.variants} == {"not compared"}


def test_a_large_difference_in_every_corpus_is_better_or_worse():
    studies = [of_corpus(n, effects={"elu": 1.5, "relu": -1.0}, utterances=150) for n in (1, 2, 3)]
    across, _ = together([*studies, of_corpus(4, effects={"elu": 1.5, "relu": -1.0})])
    assert {v.variant: v.verdict for v in across.variants}["elu · gru"] == "better"
    assert np.isfinite(across.variants[0].p_holm)


def test_verdict_over_corpora_does_not_rest_on_diverged_runs_nor_on_what_no_plan_names():
    lost = [("tanh · gru", fold, 0) for fold in range(5)]
    equal = {"seeds": 2, "utterances": 80, "effects": {}, "diverged": lost}
    studies = [of_corpus(n, activations=("tanh", "elu"), **equal) for n in range(1, 9)]
    (elu,) = together(studies)[0].variants
    assert elu.synthesis.p < 0.05  # half of the baseline's runs are chance
    assert elu.sound.p > 0.05
    assert elu.verdict == "depends on diverged runs"
    assert "study1: 0 of the variant, 5 of the baseline" in elu.sentence
    clear = [of_corpus(n, effects={"elu": 1.5, "relu": -1.0}, utterances=150) for n in range(1, 5)]
    analyses = [analyse(r, settings=Settings(primary=("relu · gru",))) for r in clear]
    found = across_corpora(analyses, [r[0].identity.corpus.fingerprint for r in clear])
    assert {v.variant: v.verdict for v in found.variants} == {
        "elu · gru": "not compared",
        "relu · gru": "worse",
    }


def test_studies_judged_by_different_metrics_are_refused(three):
    settings = (Settings(), Settings(metric="war"))
    analyses = [analyse(r, settings=own) for r, own in zip(three[:2], settings, strict=True)]
    with pytest.raises(InputError, match=r"different metrics \(study1: UAR, study2: WAR\)"):
        across_corpora(analyses, ["1", "2"])


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (lambda: of_corpus(1), "of the same corpus .* gateswap report study1 study1"),
        (lambda: of_corpus(2, selection="last"), "by different rules"),
        (lambda: of_corpus(2, activations=("tanh", "swish")), "no variant is compared"),
    ],
)
def test_what_does_not_belong_together_is_refused(second, told):
    with pytest.raises(InputError, match=told):
        together([of_corpus(1, activations=("tanh", "elu")), second()])
