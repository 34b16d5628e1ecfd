"""The GPU check without a GPU: its arithmetic, its page, its rehearsal on a CPU, its refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from activations.errors import InputError
from bench.data.members import Hyperparameters
from bench.speed.gain import Gain
from bench.speed.gpu_check import check as gpu_check
from bench.speed.gpu_check.check import main
from bench.speed.gpu_check.record import NAME, PAGE, Record
from bench.speed.gpu_check.slice import SliceRow, StudySize, project, slowest
from bench.speed.gpu_check.summary import markdown

TINY = """
name: tiny
model: {hidden_size: 4, attention_size: 2, dense_size: 4}
training: {steps: 7, batch_size: 4, evaluate_every: 3}
variants: {activation: [relu, arelu], direction: [gru, bigru]}
seeds: 1
"""

without_a_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A rehearsal with a study of ten members, into tmp_path / "check"."""
    study = tmp_path / "tiny.yaml"
    study.write_text(TINY, encoding="utf-8")
    tiny = ["--study", str(study), "--examples", "30", "--rounds", "1"]
    return ["--device", "cpu", "--output", str(tmp_path / "check"), *tiny]


def gain(contestant: str, members: int, ms: float, evaluation_ms: float | None = None) -> Gain:
    return Gain(
        size="any",
        contestant=contestant,
        members=members,
        milliseconds=ms,
        quartiles=(ms, ms),
        members_per_minute=1.0,
        rounds=1,
        setup_seconds=0.25,
        peak_bytes=2**30,
        evaluation_ms=evaluation_ms,
    )


def size(**changes: object) -> StudySize:
    given = {
        "name": "it",
        "activations": ("tanh", "relu", "arelu"),
        "directions": ("gru", "bigru"),
        "seeds": 2,
        "hyper": Hyperparameters(steps=1000, evaluate_every=300),
    }
    return StudySize(**(given | changes))


@without_a_gpu
def test_without_a_gpu_it_says_so_in_one_line_and_writes_nothing(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "check")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "sees no CUDA device" in told
    assert "nothing was written" in told
    assert list(tmp_path.iterdir()) == []


def test_the_paper_studys_size_is_what_its_definition_says():
    paper = StudySize.read(gpu_check.ROOT / "studies" / "paper.yaml")
    assert len(paper.activations) == 10
    assert paper.directions == ("gru", "bigru")
    assert paper.seeds == 5
    assert (paper.hyper.hidden_size, paper.hyper.steps, paper.evaluations) == (512, 3000, 30)


def test_the_last_step_is_evaluated_too():
    assert size().evaluations == 4  # after 300, 600, 900 and 1000 steps


def test_the_projection_is_steps_and_evaluations_of_all_stacks_cheapest_to_dearest():
    rows = [
        SliceRow("tanh", "gru", "tf32", (gain("kernel", 4, 0.5, 100.0), gain("kernel", 1, 3.0))),
        SliceRow("arelu", "gru", "tf32", (gain("kernel", 4, 1.0, 100.0), gain("kernel", 1, 3.0))),
        SliceRow("tanh", "bigru", "tf32", (gain("kernel", 4, 2.0, 200.0), gain("kernel", 1, 5.0))),
    ]
    stacked, alone = project(size(), rows, folds=2)
    assert (stacked.precision, stacked.how, stacked.trainings) == ("tf32", "kernel, stacked", 6)
    # three activations each: 1,000 steps of 4 members and 4 evaluations; six stacks are set up
    low = 6 * 0.25 + 3 * (1000 * 0.5 * 4 + 4 * 100) / 1e3 + 3 * (1000 * 2.0 * 4 + 4 * 200) / 1e3
    high = 6 * 0.25 + 3 * (1000 * 1.0 * 4 + 4 * 100) / 1e3 + 3 * (1000 * 2.0 * 4 + 4 * 200) / 1e3
    assert stacked.hours_low == pytest.approx(low / 3600)
    assert stacked.hours_high == pytest.approx(high / 3600)
    # one by one: three activations × four members of each direction
    assert (alone.how, alone.trainings) == ("kernel, one by one", 24)
    seconds = 24 * 0.25 + 12 * 1000 * 3.0 / 1e3 + 12 * 1000 * 5.0 / 1e3
    assert alone.hours_low == alone.hours_high == pytest.approx(seconds / 3600)


def test_half_a_slice_projects_nothing():
    rows = [SliceRow("tanh", "gru", "tf32", (gain("kernel", 4, 0.5, 100.0),))]
    assert project(size(), rows, folds=2) == []


def test_the_slowest_activation_is_the_studys_slowest_at_the_largest_size():
    def row(name: str, H: int, ms: float, contestant: str = "gateswap") -> dict[str, object]:
        return {"activation": name, "H": H, "R": 1, "ms": ms, "contestant": contestant}

    measured = [
        row("tanh", 128, 9.0),
        row("tanh", 512, 3.0),
        row("relu", 512, 4.0),
        row("silu", 512, 5.0),
        row("pau", 512, 8.0),
        row("relu", 512, 20.0, "eager"),
    ]
    assert slowest(size(), measured) == "relu"
    assert slowest(size(activations=("tanh", "swish")), measured) == "swish"  # silu's other name
    assert slowest(size(), []) == "arelu"


def test_a_rehearsal_on_a_cpu_runs_parts_in_processes_of_their_own_and_writes_both_files(arguments):
    assert main([*arguments, "--parts", "speed,slice"]) == 0
    record = Record.read(Path(arguments[3]))
    assert list(record.found["parts"]) == ["speed", "slice"]
    assert all(record.part(part)["seconds"] > 0 for part in ("speed", "slice"))
    assert {run["part"] for run in record.part("speed")["runs"]} == {"layer", "stack"}
    rows = record.part("slice")["rows"]
    assert [(row["direction"], row["activation"]) for row in rows] == [
        ("gru", "tanh"),
        ("bigru", "tanh"),
    ]
    assert [each["members"] for each in rows[0]["gains"]] == [5, 1, 1]
    assert len(record.part("slice")["projection"]) == 3
    page = (record.folder / PAGE).read_text(encoding="utf-8")
    assert page == markdown(record.found)
    for part in ("## Speed", "| ieee | 8 | 1 |", "## Slice", "| ieee | kernel, stacked | 4 |"):
        assert part in page


@pytest.mark.parametrize("passes", [True, False])
def test_only_files_with_gpu_tests_are_imported_and_a_failure_is_reported(
    passes, arguments, tmp_path, monkeypatch
):
    for folder in ("activations", "bench"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
    (tmp_path / "tests" / "bench" / "test_broken.py").write_text("import no_such_package")
    (tmp_path / "tests" / "activations" / "test_it.py").write_text(
        "import pytest\n"
        f"@pytest.mark.gpu\ndef test_on_the_gpu():\n    assert {passes}\n"
        "def test_anywhere():\n    raise ValueError\n"
    )
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    assert main([*arguments, "--parts", "tests"]) == int(not passes)
    part = Record.read(Path(arguments[3])).part("tests")
    assert part["passed"] == passes
    assert part["counts"].startswith("1 passed" if passes else "1 failed")
    assert any("test_on_the_gpu" in line for line in part["tail"]) != passes


def test_a_part_that_fails_is_told_and_costs_the_exit_code(arguments, tmp_path):
    (tmp_path / "tiny.yaml").write_text("name: no study at all", encoding="utf-8")
    assert main([*arguments, "--parts", "slice"]) == 1
    found = json.loads((tmp_path / "check" / NAME).read_text(encoding="utf-8"))
    assert found["parts"]["slice"]["error"] == "KeyError: 'variants'"
    assert "**Failed:** KeyError" in (tmp_path / "check" / PAGE).read_text(encoding="utf-8")


def test_a_contestant_that_fails_leaves_the_others_figures(arguments, monkeypatch):
    from bench.speed.gpu_check import slice as gpu_slice

    def fails_stacked(*given, contestants, **named):
        if any(together for *_, together in contestants):
            raise RuntimeError("out of memory")
        return measured(*given, contestants=contestants, **named)

    measured = gpu_slice.measure_gain
    monkeypatch.setattr(gpu_slice, "measure_gain", fails_stacked)
    assert main([*arguments, "--parts", "slice"]) == 1
    part = Record.read(Path(arguments[3])).part("slice")
    assert "2 of its measurements failed" in part["error"]
    for row in part["rows"]:
        assert row["errors"] == ["kernel, stacked: RuntimeError: out of memory"]
        assert [each["members"] for each in row["gains"]] == [1, 1]
    assert [each["how"] for each in part["projection"]] == [
        "kernel, one by one",
        "naive loop, one by one",
    ]


def test_a_check_is_continued_on_its_own_machine_only(arguments, capsys):
    folder = Path(arguments[3])
    record = Record.new(folder, quick=True, device="cpu")
    record.put("tests", passed=True, counts="2 passed", tail=[], seconds=1.0)
    record.check_same_machine("cpu")
    assert main([*arguments, "--parts", "warm", "--continued"]) == 0
    assert list(Record.read(folder).found["parts"]) == ["tests", "warm"]

    record.found["environment"]["torch"] = "1.0"
    with pytest.raises(InputError, match="another torch; give another --output"):
        record.check_same_machine("cpu")
    record.put("tests")
    assert main([*arguments, "--parts", "warm", "--continued"]) == 2
    assert "another torch" in capsys.readouterr().err


def test_a_page_of_an_unfinished_and_failed_check_says_what_failed():
    layer = {
        "precision": "tf32",
        "absent": [
            {"contestant": "flashrnn", "reason": "no nvcc", "where": "tanh, T=200 H=128 R=1"},
            {"contestant": "jax", "reason": "not installed", "where": ""},
        ],
        "rows": [
            {
                "activation": name, "contestant": contestant, "lengths": "equal", "H": 128,
                "R": 1, "T": 200, "ms": 2.0, "frames": 12800.0, "limit_share": 0.25,
                "ratio": ratio,
            }
            for name, contestant, ratio in (
                ("tanh", "gateswap", 4.0), ("tanh", "gateswap graph", 5.0), ("pau", "gateswap", 1.0)
            )
        ],
    }  # fmt: skip
    found = {
        "environment": {"device": "a GPU", "driver": None},
        "quick": True,
        "parts": {
            "tests": {"passed": False, "counts": "1 failed", "tail": ["E  wrong"], "seconds": 2.0},
            "warm": {
                "kernels": [
                    {"activation": "pau", "hidden": 512, "precision": "bf16", "error": "PTXASError"}
                ],
                "seconds": 3.0,
            },
            "speed": {
                "runs": [
                    {"precision": "tf32", "part": "layer", "hidden": 128, "report": layer},
                    {"precision": "tf32", "part": "stack", "hidden": 512, "error": "no memory"},
                ],
            },
            "slice": {"error": "KeyError: 'variants'", "seconds": 0.1},
        },
    }
    page = markdown(found)
    for line in (
        "- device: a GPU",
        "**Failed**: 1 failed",
        "E  wrong",
        "- pau, H=512, bf16: PTXASError",
        "| tf32 | 128 | 2 | 2.00× | 5.00× | 1.00× (pau) | 4.00× | 2.00 | 25 % |",
        "- **failed:** tf32 stack H=512: no memory",
        "- flashrnn, tf32, tanh, T=200 H=128 R=1: no nvcc",
        "Not finished.",
        "**Failed:** KeyError: 'variants'",
    ):
        assert line in page
    assert "jax" not in page


def test_it_needs_nothing_that_a_rented_gpu_machine_lacks():
    code = (
        "import sys\n"
        "for name in 'optuna mlflow librosa pydantic soundfile typer xarray statsmodels jinja2 "
        "matplotlib espeakng_loader soxr'.split():\n"
        "    sys.modules[name] = None\n"
        "import bench.speed.gpu_check.check\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_part_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--parts", "sped"])
    assert "no part 'sped'; there are tests, warm, speed, slice" in capsys.readouterr().err
