"""What members used of the machine, as a study's log has it: numbers for MLflow's "System metrics".

- The log has a line a minute with what was used, and times. So a member whose stack trained for
  some minutes can be told from files alone what was used meanwhile, as everything else is.
- It is what the command used and the workers that it started on this machine, and its GPUs: of all
  that trained then, not of one member. On Ray it is the command alone, which trains nothing.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from activations.files import file_bytes
from studies.run_records import Point

LONG = 120_000  # milliseconds: of shorter members the log has nothing or one line
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  .*\bCPU ([\d.]+) of (\d+) cores?(.*)")
_MEMORY = re.compile(r", ([\d.]+) GiB")
_GPU = re.compile(r"GPU (\d+) %, ([\d.]+) of \d+ GiB")


class Sample(NamedTuple):
    """What was used at a time [ms], by MLflow's names."""

    at: int
    used: dict[str, float]


def logged_use(log: Path) -> list[Sample]:
    """The samples that a log has; none where it cannot be read."""
    try:
        lines = file_bytes(log).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = map(_LINE.match, lines)
    return [_sample(*each.groups()) for each in found if each is not None]


def use_between(samples: Sequence[Sample], started: int, ended: int) -> list[Point]:
    """The samples of a time [ms] as numbers of a run, counted from 0."""
    ours = [sample for sample in samples if started <= sample.at <= ended]
    return [
        Point(f"system/{name}", value, sample.at, step)
        for step, sample in enumerate(ours)
        for name, value in sample.used.items()
    ]


def _sample(when: str, used: str, cores: str, rest: str) -> Sample:
    """A line's numbers; memory in MB, as MLflow has it."""
    numbers = {"cpu_utilization_percentage": 100 * float(used) / float(cores)}
    if memory := _MEMORY.match(rest):
        numbers["process_memory_megabytes"] = _megabytes(memory[1])
    for index, (busy, held) in enumerate(_GPU.findall(rest)):
        numbers[f"gpu_{index}_utilization_percentage"] = float(busy)
        numbers[f"gpu_{index}_memory_usage_megabytes"] = _megabytes(held)
    return Sample(round(1000 * datetime.fromisoformat(when).timestamp()), numbers)


def _megabytes(gibibytes: str) -> float:
    return float(gibibytes) * 2**30 / 1e6
