import json
from pathlib import Path

import pytest

from activations.errors import InputError
from studies.frozen import freeze, plan_content, plan_hash, read_frozen, read_looks, record_look
from studies.loading import load
from studies.spec import StudySpec
from studies.workspace import StudyFolder, Workspace


def _spec(tmp_path: Path, *overrides: str) -> StudySpec:
    return load("demo", overrides, workspace=Workspace(tmp_path))


def _folder(tmp_path: Path, results: int = 0) -> StudyFolder:
    folder = StudyFolder(tmp_path / "studies" / "demo")
    folder.results.mkdir(parents=True, exist_ok=True)
    for k in range(results):
        (folder.results / f"{k:024x}.npz").touch()
    return folder


def test_plan_is_frozen_once_and_what_changes_before_any_result_is_the_plan(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    first = freeze(_spec(tmp_path), folder)
    assert freeze(_spec(tmp_path), folder) == first
    wider = _spec(tmp_path, "analysis.margin=2")
    changed = freeze(wider, folder)
    assert changed.digest == first.digest
    assert changed.departures(wider) == ()
    assert changed.departures(_spec(tmp_path)) == ("analysis.margin was planned as 2.0 and is 1.0",)


def test_change_after_results_is_a_departure_and_stays_on_record(tmp_path: Path) -> None:
    freeze(_spec(tmp_path), _folder(tmp_path))
    folder = _folder(tmp_path, results=3)
    later = _spec(tmp_path, "analysis.level=0.1", "protocol.selection=last")
    frozen = freeze(later, folder)
    assert [change["results"] for change in frozen.changes] == [3]
    assert len(frozen.departures(later)) == 2
    assert "analysis.level was planned as 0.05 and is 0.1" in frozen.departures(later)
    assert read_frozen(folder) == frozen


def test_field_that_a_later_version_adds_is_no_change(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    freeze(_spec(tmp_path), folder)
    data = json.loads(folder.frozen.read_text())
    del data["content"]["training"]["clip_norm"], data["content"]["analysis.looks"]
    folder.frozen.write_text(json.dumps(data))
    frozen = freeze(_spec(tmp_path), _folder(tmp_path, results=3))
    assert (frozen.changes, frozen.departures(_spec(tmp_path))) == ((), ())
    assert frozen.departures(_spec(tmp_path, "training.steps=7"))[0].startswith(
        "training.steps was"
    )


def test_more_seeds_are_no_departure_for_looks_account_for_them(tmp_path: Path) -> None:
    frozen = freeze(_spec(tmp_path), _folder(tmp_path))
    assert frozen.departures(_spec(tmp_path, "seeds=7")) == ()


def test_fewer_or_other_seeds_than_planned_are_a_departure_unless_that_look_was_planned(
    tmp_path: Path,
) -> None:
    frozen = freeze(_spec(tmp_path, "seeds=4"), _folder(tmp_path))
    for other in ("seeds=3", "seeds=[4, 5, 6, 7]", "seeds=[1, 2, 3, 4, 5]"):
        (said,) = frozen.departures(_spec(tmp_path, other))
        assert said.startswith("seeds were planned as [0, 1, 2, 3] and are ")
    folder = StudyFolder(tmp_path / "studies" / "looks")
    looks = "analysis.looks=[2, 4]"
    frozen = freeze(_spec(tmp_path, "seeds=4", looks), folder)
    assert frozen.departures(_spec(tmp_path, "seeds=2", looks)) == ()
    assert frozen.departures(_spec(tmp_path, "seeds=3", looks)) != ()


def test_plan_of_an_early_version_kept_how_many_seeds_alone(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    freeze(_spec(tmp_path, "seeds=[5, 6, 7]"), folder)
    data = json.loads(folder.frozen.read_text())
    del data["content"]["seed_numbers"]
    folder.frozen.write_text(json.dumps(data))
    frozen = read_frozen(folder)
    assert frozen is not None
    assert frozen.departures(_spec(tmp_path, "seeds=[5, 6, 7]")) == ()
    (said,) = frozen.departures(_spec(tmp_path, "seeds=[5, 6]"))
    assert said == "seeds were planned as 3 and are [5, 6]"


def test_other_features_or_another_formula_of_the_same_name_are_a_departure(tmp_path: Path) -> None:
    mine = ("formulas={mine: x*tanh(x)}", "variants.activation=[tanh, mine]")
    frozen = freeze(_spec(tmp_path, *mine), _folder(tmp_path))
    assert frozen.departures(_spec(tmp_path, *mine)) == ()
    (said,) = frozen.departures(_spec(tmp_path, *mine, "features.normalise=none"))
    assert said.startswith("features.normalise was planned as")
    (said,) = frozen.departures(_spec(tmp_path, "formulas={mine: x*tanh(2*x)}", mine[1]))
    assert said.startswith("formulas.mine was planned as")


def test_hash_is_of_the_content_alone(tmp_path: Path) -> None:
    one, other = (plan_hash(plan_content(_spec(tmp_path))) for _ in range(2))
    assert one == other
    assert plan_hash(plan_content(_spec(tmp_path, "analysis.margin=2"))) != one


def test_same_members_are_one_look(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    record_look(folder, ["b", "a"], 5, complete=True)
    record_look(folder, ["a", "b"], 5, complete=True)
    record_look(folder, ["a", "b", "c"], 6, complete=True)
    assert [(look.members, look.seeds) for look in read_looks(folder)] == [(2, 5), (3, 6)]


def test_look_at_an_unfinished_plan_is_one_at_the_finished_one_later(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    for complete, kept in ((False, False), (True, True), (False, True)):
        record_look(folder, ["a", "b"], 5, complete=complete)
        assert [look.complete for look in read_looks(folder)] == [kept]


def test_torn_plan_is_told_and_not_forgotten(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    folder.frozen.write_text("{")
    with pytest.raises(InputError, match="nobody can tell what was planned"):
        read_frozen(folder)


def test_primary_comparison_that_does_not_exist_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no variant that is compared"):
        _spec(tmp_path, "analysis.primary=[tanh · gru]")
    with pytest.raises(InputError, match="rising"):
        _spec(tmp_path, "analysis.looks=[10, 5]")
