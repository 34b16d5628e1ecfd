from pathlib import Path

import pytest

from activations.errors import InputError
from activations.files import write_atomically
from bench.data.members import Member
from bench.training.identity import CorpusIdentity
from reports.analysis.analysis import analyse
from reports.planned import Asked, plan_paragraph, planned_settings
from reports.statistics.spending import look_levels
from studies.frozen import freeze, read_frozen, record_look
from studies.loading import load
from studies.plan import Data, make_plan
from studies.workspace import StudyFolder, Workspace
from tests.reports.synthetic import study, variants

DATA = Data(
    corpus=CorpusIdentity(name="demo", fingerprint="f" * 32, synthetic=True),
    features="0" * 16,
    folds=("Ses01", "Ses02"),
)


def _study(tmp_path: Path, *overrides: str) -> tuple[StudyFolder, dict[str, Member]]:
    """The folder of a study and its members by hash, without a run."""
    place = Workspace(tmp_path)
    spec = load("demo", overrides, workspace=place)
    folder = place.study(spec.name)
    freeze(spec, folder)
    write_atomically(folder.spec, spec.as_yaml())
    return folder, dict(make_plan(spec, DATA).members)


def test_settings_are_the_plans_unless_something_else_is_asked_for(tmp_path: Path) -> None:
    folder, members = _study(tmp_path, "analysis.margin=1.5", "analysis.level=0.01")
    settings = planned_settings(folder, members)
    assert (settings.rope, settings.level, settings.departures) == (1.5, 0.01, ())
    same = Asked(baseline="tanh", margin=1.5)
    assert planned_settings(folder, members, asked=same).departures == ()
    asked = Asked(baseline="relu", margin=2.0, family=["relu · gru"])
    other = planned_settings(folder, members, asked=asked)
    assert [text.split(" was")[0] for text in other.departures] == [
        "the baseline",
        "the margin",
        "the family",
    ]


def test_study_that_grew_after_its_report_gives_no_more_verdicts(tmp_path: Path) -> None:
    folder, members = _study(tmp_path, "seeds=2")
    record_look(folder, list(members), 2, complete=True)
    assert planned_settings(folder, members).departures == ()  # the same look again
    assert planned_settings(folder, members).earlier == ()
    folder, members = _study(tmp_path, "seeds=4")
    (look,) = planned_settings(folder, members).earlier
    assert look.startswith(f"{len(members) // 2} runs of 2 seeds (20")
    (said,) = planned_settings(folder, members).departures
    assert f"grown from {len(members) // 2} to {len(members)} runs" in said


def test_study_that_was_cut_or_whose_seeds_were_exchanged_after_its_report_gives_no_verdicts(
    tmp_path: Path,
) -> None:
    folder, members = _study(tmp_path, "seeds=4")
    folder.frozen.unlink()  # a plan of before plans were frozen
    record_look(folder, list(members), 4, complete=True)
    for seeds, said in (("2", "was cut from"), ("[4, 5, 6, 7]", "other runs of this study were")):
        folder, members = _study(tmp_path, f"seeds={seeds}")
        folder.frozen.unlink()
        assert said in planned_settings(folder, members).departures[0]


def test_estimates_that_were_read_early_forbid_more_seeds_unless_it_is_fixed_how_they_grow(
    tmp_path: Path,
) -> None:
    folder, members = _study(tmp_path, "seeds=2")
    record_look(folder, list(members), 2, complete=False)
    assert planned_settings(folder, members).departures == ()  # the plan itself goes on
    folder.results.mkdir()
    (folder.results / f"{0:024x}.npz").touch()
    folder, members = _study(tmp_path, "seeds=3")
    assert "was grown from" in planned_settings(folder, members).departures[0]
    folder, members = _study(tmp_path, "seeds={start: 3, most: 9}")  # a rule that was not planned
    assert "was grown from" in planned_settings(folder, members).departures[0]
    for ways in (("seeds={start: 3, most: 9}",), ("seeds=4", "analysis.looks=[2, 4]")):
        (tmp_path / "studies" / "demo" / "frozen.json").unlink()
        folder, members = _study(tmp_path, *ways)
        settings = planned_settings(folder, members)
        assert settings.departures == ()
        if settings.looks:  # no verdict was read, so nothing is spent
            assert settings.level == pytest.approx(look_levels([1.0])[0])


def test_going_back_to_an_earlier_look_gives_no_second_verdict(tmp_path: Path) -> None:
    looks = "analysis.looks=[2, 4]"
    folder, members = _study(tmp_path, "seeds=4", looks)
    record_look(folder, list(members), 4, complete=True)
    folder, members = _study(tmp_path, "seeds=2", looks)
    assert "was cut from" in planned_settings(folder, members).departures[0]


def test_family_of_nobody_is_refused_with_the_variants_there_are(tmp_path: Path) -> None:
    folder, members = _study(tmp_path)
    with pytest.raises(InputError, match=r"--family 'rleu · gru': no variant .* tanh · gru, relu"):
        planned_settings(folder, members, asked=Asked(family=["rleu · gru"]))


def test_page_can_tell_which_plan_it_follows(tmp_path: Path) -> None:
    folder, members = _study(tmp_path)
    assert "frozen before the first run" in planned_settings(folder, members).plan
    folder.frozen.unlink()
    assert planned_settings(folder, members).plan == ""


def test_planned_looks_spend_the_level(tmp_path: Path) -> None:
    folder, members = _study(tmp_path, "seeds=2", "analysis.looks=[2, 4]")
    first = planned_settings(folder, members)
    assert first.level == pytest.approx(look_levels([0.5])[0])
    record_look(folder, list(members), 2, complete=True)
    folder, members = _study(tmp_path, "seeds=4", "analysis.looks=[2, 4]")
    second = planned_settings(folder, members)
    assert second.level == pytest.approx(look_levels([0.5, 1.0])[1])
    assert second.departures == ()
    folder, members = _study(tmp_path, "seeds=3", "analysis.looks=[2, 4]")
    assert (
        "planned at 2, 4 seeds and there are 3" in planned_settings(folder, members).departures[0]
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


def test_plan_counts_a_comparison_for_each_setting_that_variants_are_crossed_with(
    tmp_path: Path,
) -> None:
    place = Workspace(tmp_path)
    few = ("variants={activation: [tanh, relu], direction: gru}", "analysis.primary=[relu · gru]")
    told = [
        plan_paragraph(load("demo", [*few, *more], workspace=place), place.study("demo"))
        for more in ((), ("across={model.hidden_size: [8, 16, 32]}",))
    ]
    assert "As the only one of 1 primary comparison the design" in told[0]
    assert "2 variants, each with 3 settings" in told[1]
    assert "As one of 3 primary comparisons the design" in told[1]


def test_plan_with_a_rule_for_seeds_says_so_and_is_interim_until_it_has_ended(
    tmp_path: Path,
) -> None:
    rule = "seeds={start: 3, until: 0.1, most: 9}"
    folder, members = _study(tmp_path, rule, "variants.direction=gru")
    told = plan_paragraph(load(str(folder.spec), workspace=Workspace(tmp_path)), folder)
    assert "3 seeds, then more for all variants alike until their luck is at most 10%" in told
    results = study(folds=2, seeds=3, chosen=variants(directions=["gru"]))
    growing = planned_settings(folder, members, results).growing
    assert "3 seeds' luck is" in growing
    assert "wanted: at most 10%" in growing
    assert not planned_settings(folder, members, results[:1]).growing  # which lacks runs, not seeds
    page = analyse(results, settings=planned_settings(folder, members, results))
    assert page.permission.standing == "interim"
    assert "seeds are added" in page.permission.why
    frozen = read_frozen(folder)
    other = load(str(folder.spec), ["seeds.until=0.2"], workspace=Workspace(tmp_path))
    assert frozen is not None
    assert frozen.departures(other) == ("seeds.until was planned as 0.1 and is 0.2",)
