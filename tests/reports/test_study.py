"""What a report is asked for, and what it leaves on record, whichever page is written."""

import csv
import json
from pathlib import Path

import pytest

from activations.errors import InputError
from reports.figures import gallery
from reports.made_up_workspace import NAME, write_workspace
from reports.planned import Asked, plan_paragraph
from reports.score_table import load
from reports.study import compare_with, draw_figures, write, write_with
from studies.frozen import read_looks
from studies.loading import load as load_spec
from studies.result_files import read_study
from studies.workspace import StudyFolder, Workspace


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a finished study; one figure, so that pages are quick."""
    monkeypatch.setattr(gallery, "FIGURES", gallery.FIGURES[:1])
    write_workspace(tmp_path, members=50)
    return Workspace(tmp_path)


def _twin(place: Workspace, name: str) -> StudyFolder:
    """The study once more, under another name and without a look."""
    first, twin = place.study(NAME), place.study(name)
    twin.root.mkdir()
    twin.results.symlink_to(first.results.resolve(), target_is_directory=True)
    twin.plan.write_text(first.plan.read_text())
    twin.spec.write_text(first.spec.read_text())
    return twin


def _theirs(place: Workspace, path: Path) -> Path:
    """A model that is right everywhere."""
    _, ours = load(read_study(place.study(NAME)))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "fold", "label"])
        for name, fold, truth in zip(ours.ids, ours.fold, ours.truths, strict=True):
            writer.writerow([name, ours.folds[fold], ours.classes[truth]])
    return path


def test_every_page_and_figure_is_a_look_and_follows_what_was_asked_for(
    place: Workspace, tmp_path: Path
) -> None:
    folder, twin = place.study(NAME), _twin(place, "twin")
    asked = Asked(metric="war", margin=0.5)
    (svg,) = draw_figures(NAME, place, asked=asked, names=["forest"], formats=["svg"])
    assert svg.is_file()
    (look,) = read_looks(folder)
    assert (look.members, look.seeds, look.complete) == (50, 1, True)
    page = compare_with([NAME, "twin"], place, asked=asked)
    assert json.loads((page.parent / "versus.json").read_text())["measure"] == "WAR"
    assert read_looks(twin)[0].digest == look.digest
    folder.looks.unlink()
    page = write_with(NAME, _theirs(place, tmp_path / "theirs.csv"), place, asked=asked)
    assert "the metric was planned as uar and is war" in page.read_text()
    assert len(read_looks(folder)) == 1


def test_a_report_that_is_not_as_planned_is_on_record_too(place: Workspace) -> None:
    folder = place.study(NAME)
    page = write(folder.root, margin=2.0).read_text()
    assert "Not the analysis that was planned" in page
    assert "nothing on record says what was planned" in page
    assert len(read_looks(folder)) == 1


def test_a_family_of_nobody_is_refused_and_no_look(place: Workspace) -> None:
    folder = place.study(NAME)
    with pytest.raises(InputError, match="no variant of study made-up is called so"):
        write(folder.root, family=["rleu · gru"])
    assert read_looks(folder) == ()


def test_plan_of_a_study_with_one_seed_does_not_say_that_nothing_has_run(place: Workspace) -> None:
    folder = place.study(NAME)
    told = plan_paragraph(load_spec(str(folder.spec), workspace=place), folder)
    assert "an assumption: no comparison has two folds with two seeds yet" in told
