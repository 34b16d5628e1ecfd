from pathlib import Path

import pytest

from activations.files import write_atomically
from reports.planned import plan_paragraph, planned_settings
from reports.statistics.spending import look_levels
from studies.frozen import freeze, record_look
from studies.loading import load
from studies.workspace import StudyFolder, Workspace


def _study(tmp_path: Path, *overrides: str) -> tuple[StudyFolder, list[str]]:
    """The folder of a study and the hashes of its members, without a run."""
    place = Workspace(tmp_path)
    spec = load("demo", overrides, workspace=place)
    folder = place.study(spec.name)
    freeze(spec, folder)
    write_atomically(folder.spec, spec.as_yaml())
    return folder, [f"{k:024x}" for k in range(10 * len(spec.seeds))]


def test_settings_are_the_plans_unless_something_else_is_asked_for(tmp_path: Path) -> None:
    folder, members = _study(tmp_path, "analysis.margin=1.5", "analysis.level=0.01")
    settings = planned_settings(folder, len(members))
    assert (settings.rope, settings.level, settings.departures) == (1.5, 0.01, ())
    assert planned_settings(folder, len(members), baseline="tanh", margin=1.5).departures == ()
    other = planned_settings(
        folder, len(members), baseline="relu", margin=2.0, family=["elu · gru"]
    )
    assert [text.split(" was")[0] for text in other.departures] == [
        "the baseline",
        "the margin",
        "the family",
    ]


def test_study_that_grew_after_its_report_gives_no_more_verdicts(tmp_path: Path) -> None:
    folder, members = _study(tmp_path, "seeds=2")
    record_look(folder, members, 2)
    assert planned_settings(folder, len(members)).departures == ()  # the same look again
    folder, members = _study(tmp_path, "seeds=4")
    (said,) = planned_settings(folder, len(members)).departures
    assert "grown from 20 to 40 runs" in said


def test_planned_looks_spend_the_level(tmp_path: Path) -> None:
    folder, members = _study(tmp_path, "seeds=2", "analysis.looks=[2, 4]")
    first = planned_settings(folder, len(members))
    assert first.level == pytest.approx(look_levels([0.5])[0])
    record_look(folder, members, 2)
    folder, members = _study(tmp_path, "seeds=4", "analysis.looks=[2, 4]")
    second = planned_settings(folder, len(members))
    assert second.level == pytest.approx(look_levels([0.5, 1.0])[1])
    assert second.departures == ()
    folder, members = _study(tmp_path, "seeds=3", "analysis.looks=[2, 4]")
    assert (
        "planned at 2, 4 seeds and there are 3"
        in planned_settings(folder, len(members)).departures[0]
    )


def test_plan_is_told_in_prose_with_what_its_design_finds(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    spec = load("paper", ["corpus.path=/nowhere"], workspace=place)
    told = plan_paragraph(spec, place.study(spec.name))
    assert "Primary comparisons: arelu · gru, arelu · bigru" in told
    assert "one of 2 primary comparisons the design finds" in told
    assert "an assumption: nothing has run" in told
    assert "Not frozen yet" in told
    freeze(spec, place.study(spec.name))
    assert "Frozen as plan" in plan_paragraph(spec, place.study(spec.name))
