"""A study's log file, and lines that come although nothing ends."""

import math
import re
import time
from pathlib import Path

import pytest

from studies.device_use import DeviceUse, _gpus
from studies.logbook import Logbook
from studies.pace import Pace
from studies.progress import StackAt
from studies.training_lines import TrainingLines
from tests.studies.conftest import Said

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "


def at(step: int) -> StackAt:
    return StackAt("tanh · gru · 3 members", 3, step, 10, 0.5 if step > 5 else math.nan, 30.0)


def test_everything_said_and_every_stack_is_written_with_its_time(tmp_path: Path) -> None:
    shown = Said()
    book = Logbook(shown, tmp_path / "log.txt")
    book.say("corpus: 2 notes")
    book.write("training of 3 members begins on cpu")
    with book.counting("features") as count:
        for done in range(3):
            count(done, 2)
    with book.training(3, 30.0) as view:
        view.step("", at(1))
        view.finish("", at(10), "ok")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    patterns = (
        *("corpus: 2 notes", "training of 3 members begins on cpu"),
        *("features: 0 of 2", "features: 2 of 2"),
        r" +3 of 3 members · tanh · gru · 3 members · ok · \d\.\d s",
    )
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(TIME + pattern, line), line
    assert shown.lines == ["corpus: 2 notes"]


def test_a_log_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    shown = Said()
    book = Logbook(shown, tmp_path / "missing" / "log.txt")
    book.say("one")
    book.say("two")
    (warning, *others) = shown.lines
    assert "log.txt cannot be written (no such file or directory); no log is kept" in warning
    assert others == ["one", "two"]


def test_a_line_comes_now_and_then_while_a_stack_trains() -> None:
    said: list[str] = []
    lines = TrainingLines(said.append, Pace(3, 30.0), DeviceUse())
    with lines.running(between=0.05):
        lines.step("", at(1))
        lines.step("", at(6))
        until = time.monotonic() + 20
        while len(said) < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert len(said) >= 3
    for line in said:
        assert line.startswith("   0 of 3 members")
    assert "tanh · gru · 3 members · step 6 of 10 · dev UAR 50.0" in said[-1]
    assert re.search(r"CPU \d+\.\d of \d+ cores, \d+\.\d GiB$", said[-1])
    number = len(said)
    time.sleep(0.2)
    assert len(said) == number  # it ends with the block


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("97, 12595, 81559\n", "GPU 97 %, 12.3 of 80 GiB"),
        ("3, 1024, 2048\n4, 0, 2048\n", "GPU 3 %, 1.0 of 2 GiB · GPU 4 %, 0.0 of 2 GiB"),
        ("No devices were found", ""),
    ],
)
def test_what_nvidia_smi_says_in_words(answer: str, said: str) -> None:
    assert _gpus(answer) == said
