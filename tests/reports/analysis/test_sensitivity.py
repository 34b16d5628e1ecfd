"""Figures of sensitivity: what tuning tried, judged on dev."""

import dataclasses

import pytest

from reports.analysis.sensitivity import settings_tried
from reports.figures import gallery
from reports.page.page import write_report
from tests.reports import synthetic


@pytest.fixture(scope="module")
def planned():
    return synthetic.study(synthetic.variants(["tanh", "elu"], ["gru"]), seeds=1, utterances=60)


def with_rate(results, rate):
    return [
        synthetic.of_another(
            result,
            member=dataclasses.replace(
                result.member, hyper=dataclasses.replace(result.hyper, learning_rate=rate)
            ),
        )
        for result in results
    ]


def test_a_study_without_tuning_has_no_setting_that_differs(planned):
    assert settings_tried(planned) == ()


def test_each_trial_is_the_mean_dev_score_of_its_runs(planned):
    (setting,) = settings_tried([*planned, *with_rate(planned, 0.5)])
    assert setting.name == "learning_rate"
    assert len(setting.scores) == 4  # two variants, two rates
    runs = [r for r in planned if r.variant.activation.name == "tanh"]
    by_hand = [
        float(r.curves["dev_uar"][list(r.curves["step"]).index(r.selected_step["dev"])])
        for r in runs
    ]
    assert setting.scores[0] == pytest.approx(100 * sum(by_hand) / len(by_hand))


def test_page_of_a_tuned_study_shows_what_was_searched(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "FIGURES", (gallery.find("forest"), gallery.find("sensitivity")))
    page = write_report(planned, tmp_path / "report", tuned=with_rate(planned, 0.5))
    assert 'id="figure-sensitivity"' in page.read_text()
    assert (page.parent / "figures" / "sensitivity.pdf").is_file()
