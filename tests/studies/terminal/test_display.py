"""What a running study shows: each stack's own line, also where several train at once."""

import math

import pytest

from studies.terminal.display import TerminalDisplay


def test_stacks_on_several_devices_are_counted_and_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with TerminalDisplay().training(7) as view:
        view.step("cuda:0", "tanh · gru · 3 members", 1, 10, math.nan)
        view.step("cuda:1", "relu · gru · 4 members", 1, 10, 0.25)
        view.step("cuda:0", "tanh · gru · 3 members", 9, 10, 0.5)
        view.finish("cuda:1", "relu · gru · 4 members", 4, "1 diverged")
        view.finish("cuda:0", "tanh · gru · 3 members", 3, "ok")
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert first.startswith("   4 of 7 members · cuda:1 · relu · gru · 4 members · 1 diverged · 0.")
    assert second.startswith("   7 of 7 members · cuda:0 · tanh · gru · 3 members · ok · 0.")


def test_a_terminal_shows_a_bar_for_each_stack_in_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    display = TerminalDisplay()
    assert display.live
    with display.training(7) as view:
        view.step("cuda:0", "tanh · gru · 6 members", 3, 10, math.nan)
        view.step("cuda:1", "relu · gru · 4 members", 5, 10, 0.25)
        # it did not fit in memory: the first half takes the place
        view.step("cuda:0", "tanh · gru · 3 members", 1, 10, math.nan)
        assert view._progress is not None
        bars = [(task.description, task.completed) for task in view._progress.tasks]
        view.finish("cuda:0", "tanh · gru · 3 members", 3, "ok")
        after = [task.description for task in view._progress.tasks]
    assert bars == [
        ("members", 0),
        ("cuda:1 · relu · gru · 4 members · dev UAR 25.0", 5),
        ("cuda:0 · tanh · gru · 3 members", 1),
    ]
    assert after == ["members", "cuda:1 · relu · gru · 4 members · dev UAR 25.0"]
    assert "3 of 7 members · cuda:0 · tanh · gru · 3 members · ok" in capsys.readouterr().err
