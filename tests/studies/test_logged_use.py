"""What a log says that members used of the machine."""

from datetime import datetime
from pathlib import Path

import pytest

from studies.device_use import DeviceUse, _gpus
from studies.logbook import Logbook
from studies.logged_use import logged_use, use_between
from studies.progress import SILENT


def test_numbers_are_those_of_the_log_s_own_lines(tmp_path: Path) -> None:
    log = Logbook(SILENT, tmp_path / "log.txt")
    log.say("training of 2 members begins on cuda:0")
    before = datetime.now().timestamp()
    log.write(f"    0 of 2 members · step 1 of 9 · {DeviceUse().text()}")
    gpus = _gpus("97, 12595, 81559\n3, 1024, 81559\n")
    log.write(f"    1 of 2 members · step 2 of 9 · CPU 1.5 of 2 cores, 0.6 GiB · {gpus}")
    first, second = logged_use(tmp_path / "log.txt")
    assert abs(first.at / 1000 - before) < 5
    assert 0 <= first.used["cpu_utilization_percentage"] <= 100
    assert second.used == {
        "cpu_utilization_percentage": 75,
        "process_memory_megabytes": pytest.approx(644.2, abs=0.1),
        "gpu_0_utilization_percentage": 97,
        "gpu_0_memory_usage_megabytes": pytest.approx(12.3 * 1073.7, abs=1),
        "gpu_1_utilization_percentage": 3,
        "gpu_1_memory_usage_megabytes": pytest.approx(1073.7, abs=1),
    }
    points = use_between([first, second], second.at, second.at)
    assert {(point.key, point.value) for point in points} >= {
        ("system/cpu_utilization_percentage", 75),
        ("system/gpu_0_utilization_percentage", 97),
    }
    assert use_between([first, second], second.at + 1, second.at + 9) == []


def test_a_study_without_a_log_says_nothing(tmp_path: Path) -> None:
    assert logged_use(tmp_path / "log.txt") == []
