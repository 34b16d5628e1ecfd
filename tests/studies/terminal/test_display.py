"""What a running study shows: each stack's own line, also where several train at once."""

import math
import time

import pytest

from studies.progress import StackAt
from studies.terminal.display import TerminalDisplay


def at(label: str, members: int, step: int, dev_uar: float = math.nan) -> StackAt:
    return StackAt(label, members, step, 10, dev_uar, work=10.0 * members)


def test_stacks_on_several_devices_are_counted_and_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tanh, relu = "tanh · gru · 3 members", "relu · gru · 4 members"
    with TerminalDisplay().training(7, 70.0) as view:
        view.step("cuda:0", at(tanh, 3, 1))
        view.step("cuda:1", at(relu, 4, 1, 0.25))
        view.step("cuda:0", at(tanh, 3, 9, 0.5))
        view.finish("cuda:1", at(relu, 4, 10), "1 diverged")
        view.finish("cuda:0", at(tanh, 3, 10), "ok")
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert first.startswith("   4 of 7 members · cuda:1 · relu · gru · 4 members · 1 diverged · 0.")
    assert second.startswith("   7 of 7 members · cuda:0 · tanh · gru · 3 members · ok · 0.")


def test_a_terminal_shows_a_bar_for_each_stack_in_training_and_its_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    display = TerminalDisplay()
    assert display.live
    with display.training(7, 70.0) as view:
        view.step("cuda:0", at("tanh · gru · 6 members", 6, 3))
        view.step("cuda:1", at("relu · gru · 4 members", 4, 5, 0.25))
        # it did not fit in memory: the first half takes the place
        view.step("cuda:0", at("tanh · gru · 3 members", 3, 1))
        tasks = view._progress.tasks  # type: ignore[attr-defined]
        bars = [(task.description, task.completed) for task in tasks]
        scores = [task.fields["score"] for task in tasks]
        started = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: started + 60)
        view.step("cuda:1", at("relu · gru · 4 members", 4, 9, 0.25))
        pace = view._progress.below  # type: ignore[attr-defined]
        monkeypatch.undo()
        view.finish("cuda:0", at("tanh · gru · 3 members", 3, 10), "ok")
        after = [task.description for task in view._progress.tasks]  # type: ignore[attr-defined]
    assert [name for name, _ in bars] == [
        "members",
        "cuda:1 · relu · gru · 4 members",
        "cuda:0 · tanh · gru · 3 members",
    ]
    assert [done for _, done in bars[1:]] == [5, 1]
    assert scores == ["", "dev UAR 25.0", ""]
    assert "members/min · " in pace
    assert " left, ends " in pace
    assert "CPU " in pace
    assert after == ["members", "cuda:1 · relu · gru · 4 members"]
    assert "3 of 7 members · cuda:0 · tanh · gru · 3 members · ok" in capsys.readouterr().err


def test_eighty_columns_show_everything_but_the_end_of_a_long_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    long = "max(x,0)+a*min(x,0); a=0.25 · bigru · 25 members"
    with TerminalDisplay().training(1950, 70.0) as view:
        # a long study: everything is as wide as it gets
        started = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: started)
        view.step("cpu (1)", StackAt("tanh · gru · 25 members", 25, 1, 3000, 0.25, work=1.0))
        view.step("cuda:0", StackAt(long, 25, 1, 3000, 0.25, work=50.0))
        monkeypatch.setattr(time, "monotonic", lambda: started + 45_000)
        view.step("cuda:0", StackAt(long, 25, 2999, 3000, 0.455, work=50.0))
        progress = view._progress  # type: ignore[attr-defined]
        lines = progress.console.render_lines(progress.get_renderable(), pad=False)
    shown = ["".join(segment.text for segment in line).rstrip() for line in lines]
    whole, short, cut, *below = shown
    assert whole.startswith("members ")
    assert "0/1,950 " in whole
    assert short.startswith("cpu (1) · tanh · gru · 25 members ")
    assert short.endswith("dev UAR 25.0")
    assert cut.startswith("cuda:0 · max(x,0)+a*min(")
    assert "…" in cut
    assert "2,999/3,000 " in cut
    assert cut.endswith(" dev UAR 45.5")
    assert " left, ends " in below[0]
    assert "CPU " in " ".join(below)
    assert all(len(line) <= 80 for line in shown)
    assert "…" not in " ".join([whole, short, *below])


def test_a_terminal_that_cannot_draw_lines_anew_gets_plain_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")  # an editor's shell: bars would be seen when all is over
    with TerminalDisplay().training(3, 30.0) as view:
        view.step("", at("tanh · gru · 3 members", 3, 1))
        view.finish("", at("tanh · gru · 3 members", 3, 10), "ok")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("   3 of 3 members · tanh · gru · 3 members · ok · 0.")


def test_quiet_shows_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    display = TerminalDisplay(quiet=True)
    display.say("a corpus of 5 hours")
    with display.counting("features") as count, display.training(3, 30.0) as view:
        count(0, 2)
        count(2, 2)
        view.step("", at("tanh · gru · 3 members", 3, 1))
        view.finish("", at("tanh · gru · 3 members", 3, 10), "ok")
    display.say("warning: MLflow's database is locked")
    assert capsys.readouterr().err == "warning: MLflow's database is locked\n"
