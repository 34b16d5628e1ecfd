"""Two studies compared: what may be compared is, what may not is said."""

import numpy as np
import pytest
from scipy import stats

from activations.errors import InputError
from reports.analysis.settings import Settings
from reports.page.versus import compare_studies, write_versus
from tests.reports import synthetic

VARIANTS = synthetic.variants(["tanh", "elu"], ["gru"])


@pytest.fixture(scope="module")
def studies():
    first = synthetic.study(VARIANTS, seeds=2, utterances=60, effects={})
    better = {"tanh": 0.8, "elu": 0.8}
    return first, synthetic.study(VARIANTS, seeds=2, utterances=60, effects=better)


def test_a_study_against_itself_has_no_difference(studies):
    versus, *_ = compare_studies(studies[0], studies[0])
    assert versus.reasons == ()
    assert [change.test.mean for change in versus.changes] == [0.0, 0.0]
    assert [change.p_holm for change in versus.changes] == [1.0, 1.0]


def test_difference_of_two_studies_is_the_corrected_test_over_paired_folds(studies):
    versus, *_ = compare_studies(*studies)
    change = versus.changes[0]
    assert change.test.mean == pytest.approx(change.second - change.first)
    assert change.test.mean > 5
    # by hand: t with the fold differences' mean and the corrected standard error
    statistic = change.test.mean / change.test.standard_error
    assert change.test.p == pytest.approx(2 * stats.t.sf(abs(statistic), 4))
    assert np.isfinite(change.p_holm)


def test_studies_of_different_protocols_stand_side_by_side_untested(studies, tmp_path):
    other = synthetic.study(VARIANTS, seeds=2, utterances=60, selection="oracle")
    versus, *_ = compare_studies(studies[0], other)
    assert any("selection" in reason for reason in versus.reasons)
    assert all(change.test is None for change in versus.changes)
    page = write_versus(studies[0], other, tmp_path / "versus").read_text()
    assert "Not comparable" in page
    assert "<img" not in page


def test_page_of_comparable_studies_shows_table_and_figure(studies, tmp_path):
    page = write_versus(*studies, tmp_path / "versus").read_text()
    assert page.count("<tr><td>") == 2
    assert 'src="data:image/svg+xml;base64,' in page


def test_studies_without_a_common_variant_are_refused(studies):
    other = synthetic.study(synthetic.variants(["tanh"], ["bigru"]), seeds=1, utterances=60)
    with pytest.raises(InputError, match="share no variant"):
        compare_studies(studies[0], other)


def test_there_is_no_p_while_runs_are_missing_and_what_is_not_paired_or_diverged_is_said(tmp_path):
    first = synthetic.study(VARIANTS, seeds=3, utterances=60, diverged=[("elu · gru", 0, 0)])
    second = synthetic.study(VARIANTS, seeds=2, utterances=60)
    planned = ([r.member for r in first], [r.member for r in second])
    versus, *_ = compare_studies(first, second[:-1], planned=planned)
    assert not versus.paired
    assert versus.changes[1].diverged == (1, 0)
    assert all(np.isnan(change.p_holm) for change in versus.changes)
    assert all(np.isfinite(change.test.low) for change in versus.changes)
    page = write_versus(first, second[:-1], tmp_path / "versus", planned=planned).read_text()
    for said in ("There is no p, because", "1 of 20 planned runs", "only folds are paired"):
        assert said in page
    assert "(1 and 0 diverged)" in page


def test_studies_are_compared_in_the_metric_that_both_were_planned_with(studies):
    accuracy = (Settings(metric="war"), Settings(metric="war"))
    versus, one, _ = compare_studies(*studies, settings=accuracy)
    assert versus.measure == "WAR"
    assert versus.changes[0].first == one.summaries[0].war["dev"].mean
    mixed, *_ = compare_studies(*studies, settings=(Settings(), Settings(metric="war")))
    assert any("different metrics (UAR, WAR)" in reason for reason in mixed.reasons)
