"""The command line: what programs may read of it, and what people are told when something is wrong.

Commands run in this process, which has imported everything; what has to do with processes
(starting quickly, piping, ports) runs in one of its own.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

import gateswap
from activations import names
from bench.speed import machine
from reports.figures import gallery
from studies.loading import load
from studies.plan import Data, make_plan
from studies.workspace import Workspace
from tests.server import first_answer, free_port
from tests.studies.conftest import DATA, keep

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
PROGRAM = [sys.executable, "-c", "import sys, gateswap; sys.exit(gateswap.main())"]


@pytest.fixture(autouse=True)
def _process_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    show = warnings.showwarning
    yield
    warnings.showwarning = show
    signal.signal(signal.SIGTERM, handler)


class Command:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        self._capsys.readouterr()
        code = gateswap.main(arguments)
        out, err = self._capsys.readouterr()
        assert code == 0, err
        return out

    def json(self, *arguments: str) -> Any:
        """The one document that a command prints, which is strict JSON."""
        return json.loads(self(*arguments, "--json"), parse_constant=_no_constant)

    def fails(self, *arguments: str, code: int = 2) -> str:
        """The one line that a command says when it fails."""
        self._capsys.readouterr()
        found = gateswap.main(arguments)
        out, err = self._capsys.readouterr()
        assert found == code, err
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("gateswap: ")
        return line.removeprefix("gateswap: ")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A workspace whose study demo has seven of eight members finished; returns ./runs."""
    place = Workspace(tmp_path / "runs")
    changes = ["variants.activation=[tanh,arelu]", "variants.direction=gru", "seeds=2"]
    spec = load("demo", changes, workspace=place)
    keep(make_plan(spec, DATA), place, 7)
    return place.root


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A corpus of three speakers with two labelled turns each, of near silence."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    names = [(s, label) for s in "abc" for label in ("ang", "sad")]
    for number, (speaker, label) in enumerate(names):
        with wave.open(str(folder / f"{speaker}{label}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(bytes([number, 0] * 1600))
    rows = [f"{s}{label},{s}{label}.wav,{s},{label}" for s, label in names]
    (folder / "manifest.csv").write_text("\n".join(["id,audio,speaker,label", *rows]) + "\n")
    return folder


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_help_answers_within_half_a_second_and_names_every_command() -> None:
    def once() -> float:
        before = os.times()
        done = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True)
        after = os.times()
        for name in ("demo", "run", "tune", "status", "report", "mirror", "ui", "doctor"):
            assert f" {name} " in done.stdout
        used = after.children_user - before.children_user
        return used + after.children_system - before.children_system

    # processor time, the best of three: the machine may be busy with other tests
    assert min(once() for _ in range(3)) < 0.5


def test_no_arguments_show_the_help(command: Command) -> None:
    assert command() == command("--help")


BAD_INPUT = [
    (["frobnicate"], "No such command 'frobnicate'. See gateswap --help"),
    (["ru", "demo"], "Did you mean 'run'?"),
    (["run"], "Missing argument 'STUDY'"),
    (["run", "demo", "--frob"], "No such option: --frob"),
    (["run", "dmo"], "no study 'dmo'. Did you mean 'demo'?"),
    (["run", "demo", "training.steps=many"], "training.steps: should be a valid integer"),
    (["run", "demo", "--device", "tpu"], "no device 'tpu'; --device takes auto, cpu or cuda"),
    (["run", "paper"], "gateswap run paper corpus.path="),
    (["run", "paper", "corpus.path=/nowhere"], "/nowhere does not exist"),
    (["tune", "demo", "search={}"], "does not say what to tune"),
    (
        ["tune", "demo", "protocol.dev=none", "protocol.selection=last"],
        "protocol.dev: none, and settings are judged on the dev set; set protocol.dev to speakers",
    ),
    (["status", "demo"], "has not been run in runs; start it with: gateswap run demo"),
    (["report", "demo"], "has not been run in runs; start it with: gateswap run demo"),
    (["mirror", "demo"], "has not been run in runs; start it with: gateswap run demo"),
    (["ui"], "there are no runs in runs yet"),
    (["activations", "swsh"], "Did you mean 'swish'"),
    (["activations", "x*__import__('os').system('true')"], "formula"),
    (["activations", "--plot", "f.svg"], "gateswap activations NAME --plot"),
    (["corpus", "describe", "/nowhere"], "/nowhere does not exist"),
    (["corpus", "describe", ".", "--format", "wav"], "no corpus format 'wav'"),
    (["features", "/nowhere"], "/nowhere does not exist"),
    (["speed", "--part", "everything"], "no part 'everything' to measure"),
    (["speed", "--hidden", "100000000000"], "hidden sizes must be from 1 to 4,096"),
    (["speed", "--repeats", "1000000000"], "repeats must be from 1 to 10,000"),
    (["tune", "demo", "--trials", "1000000000"], "less than or equal to 10000"),
    (["features", ".", "--compare", "-5"], "greater than or equal to 0"),
    (["features", ".", "--jobs", "100000"], "less than or equal to 1024"),
    (["corpus", "demo", "d", "--dialogues", "1000000000"], "1 to 1,000 dialogues per session"),
    (["corpus", "demo", "d", "--seed", "-1"], "a seed from 0 up"),
    (["corpus", "demo", "d", "--seed", "9" * 30], "a seed from 0 up to 9,223,372,036,854,775,807"),
    (["run", "x" * 300, "--dry-run"], "or give the path of a YAML file"),
    (["status", "demo", "--workspace", "x" * 300], "file name too long"),
    (["run", "demo", "--workspace", "/dev/null"], "/dev/null is no folder"),
    (["validate-statistics", "--seed", "9" * 30], "less than or equal to 9223372036854775807"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), BAD_INPUT, ids=[" ".join(entry[0]) for entry in BAD_INPUT]
)
def test_bad_input_is_one_line_with_the_remedy_and_exit_code_2(
    arguments: list[str], said: str, command: Command, tmp_path: Path
) -> None:
    assert said in command.fails(*arguments)
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "runs"])


def test_a_workspace_that_cannot_be_written_is_told_before_anything_is_done(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    said = command.fails("run", "demo", "--workspace", "file/runs")
    assert "cannot write to file/runs" in said
    assert "--workspace" in said


def test_a_traceback_is_there_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESWAP_TRACEBACK", "1")
    with pytest.raises(gateswap.InputError):
        gateswap.main(["run", "dmo"])


def test_a_mistake_of_ours_is_one_line_that_asks_for_a_report(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studies.terminal.doctor.examine", lambda _: {}["missing"])
    said = command.fails("doctor", code=1)
    assert "KeyError: 'missing'" in said
    assert "GATESWAP_TRACEBACK=1" in said


def test_activations_as_json_have_the_fixed_fields(command: Command) -> None:
    listing = command.json("activations")
    assert [entry["name"] for entry in listing] == names()
    fixed = {"name", "aliases", "family", "formula", "parameters", "source"}
    assert all(fixed <= entry.keys() for entry in listing)
    arelu = next(entry for entry in listing if entry["name"] == "arelu")
    assert [parameter["initial"] for parameter in arelu["parameters"]] == [0.9, 2.0]


def test_an_activation_can_be_a_formula_and_be_drawn(command: Command, tmp_path: Path) -> None:
    text = "max(x,0)+a*min(x,0); a=0.25"
    detail = command.json("activations", text, "--plot", "leaky.svg")
    assert detail["parameters"][0]["initial"] == 0.25
    assert "<svg" in (tmp_path / "leaky.svg").read_text()
    assert "arelu" in command("activations")
    assert "0.25" in command("activations", text)


def test_corpus_describe_as_json_has_the_fixed_fields(command: Command, manifest: Path) -> None:
    found = command.json("corpus", "describe", str(manifest), "--format", "manifest")
    assert found["turns"] == 6
    assert found["labels"] == {"ang": 3, "sad": 3}
    fixed = {"total", "labels", "sessions", "speakers", "own_missing", "other_missing"}
    assert fixed <= found["examples"].keys()
    assert any("hap" in problem for problem in found["problems"])  # the protocol wants four classes
    assert "turns: 6" in command("corpus", "describe", str(manifest), "--format", "manifest")


def write_study(manifest: Path, protocol: str) -> str:
    (manifest / "study.yaml").write_text(
        f"corpus: {{format: manifest, path: {manifest}}}\n"
        f"protocol: {{classes: [ang, sad], merge: {{}}, {protocol}}}\n"
    )
    return str(manifest / "study.yaml")


def test_folds_are_counted_by_class_and_speaker_and_written_for_review(
    command: Command, manifest: Path
) -> None:
    study = write_study(manifest, "test_unit: speaker")
    found = command.json("folds", study, "--write", str(manifest / "folds.csv"))
    assert [fold["name"] for fold in found["folds"]] == ["a", "b", "c"]
    assert found["folds"][0]["test"] == {
        "examples": 2,
        "classes": {"ang": 1, "sad": 1},
        "speakers": {"a": 2},
    }
    table = (manifest / "folds.csv").read_text().splitlines()
    assert table[0] == '"id","speaker","session","label","a","b","c"'
    assert table[1] == '"aang","a","a","ang","test","train","dev"'
    assert "3 of 3 test sets have fewer than 10 utterances" in command("folds", study)


def test_a_corpus_with_problems_stops_a_run_until_they_are_allowed(
    command: Command, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(manifest, "test_unit: speaker")
    (manifest / "bang.wav").write_bytes((manifest / "csad.wav").read_bytes())
    run = ["run", study, "--dry-run"]
    assert gateswap.main(run) == 2
    said = capsys.readouterr().err
    assert "1 recording is there under several speakers, byte for byte: the first" in said
    assert said.splitlines()[-1].startswith(f"gateswap: {manifest}: 2 problems with corpus corpus:")
    assert said.splitlines()[-1].endswith("corpus.allow_problems=true")
    assert "12 members" in command(*run, "corpus.allow_problems=true", "seeds=4")


def test_speed_as_json_has_the_fixed_fields(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what layers are held against takes longer than they do
    monkeypatch.setitem(machine.PRODUCT, "cpu", 64)
    monkeypatch.setitem(machine.COPY, "cpu", 1 << 20)
    arguments = ["--part", "layer", "--activation", "relu", "--hidden", "8", "--repeats", "1"]
    found = command.json("speed", *arguments)
    assert {"machine", "sgemm_gflops", "rows"} <= found.keys()
    fixed = {"activation", "T", "B", "I", "H", "R", "contestant", "ms", "gflops", "ratio"}
    assert all(fixed <= row.keys() for row in found["rows"])
    assert {"gateswap", "torch.nn.GRU"} <= {row["contestant"] for row in found["rows"]}


def test_doctor_tells_what_works_and_writes_nothing(command: Command, tmp_path: Path) -> None:
    found = command.json("doctor")
    checks = {check["name"]: check for check in found["checks"]}
    assert {"python", "torch", "gpu", "compiler", "kernel", "demo corpus"} <= checks.keys()
    assert all(check["ok"] or check["remedy"] for check in checks.values())
    assert found["ok"]
    assert found["versions"]["torch"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_doctor_fails_where_something_needed_does(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gateswap.main(["doctor", "--workspace", "/proc/gateswap"]) == 1
    assert "cannot write to /proc" in capsys.readouterr().out


def test_a_file_in_the_place_of_the_workspace_is_refused_by_every_command(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").touch()
    for words in (["doctor"], ["status", "demo"], ["run", "demo"]):
        assert gateswap.main(words) == 2
        assert "runs is no folder" in capsys.readouterr().err


def test_status_counts_what_is_finished_and_projects_the_rest(
    command: Command, study: Path
) -> None:
    found = command.json("status", "demo")
    assert (found["members"], found["finished"], found["missing"]) == (8, 7, 1)
    assert [trial["finished"] for trial in found["trials"]] == [4, 3]
    assert found["seconds_left"] == 2.0  # every finished member took two seconds
    assert "7 of 8 members finished, 1 missing" in command("status", "demo")


def test_a_dry_run_shows_the_plan_and_writes_nothing(command: Command, tmp_path: Path) -> None:
    out = command("run", "demo", "--dry-run", "seeds=2", "stack.max_members=4")
    assert "0 of 100 members finished, 100 missing" in out
    assert "30 stacks of up to 4 members" in out
    assert "how long it takes is said here once the study's features are computed" in out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_how_many_seeds_a_rule_will_come_to(command: Command) -> None:
    out = command("run", "demo", "--dry-run", "seeds={start: 3, until: 0.2, most: 40}")
    assert "0 of 150 members finished, 150 missing" in out
    # (1 - 0.2) / 0.2 · 2² / 1²
    assert "3 first, then more until their luck is at most 20%" in out
    assert "about 16 if differences scatter by 1 points between folds and 2 between seeds" in out


def test_what_a_report_is_asked_for_other_than_planned_is_named_in_it(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "FIGURES", gallery.FIGURES[:1])
    asked = ("--margin", "2", "--level", "0.01", "--metric", "war", "--family", "arelu · gru")
    page = Path(command("report", "demo", *asked).strip())
    settings = json.loads((page.parent / "report.json").read_text())["settings"]
    assert settings["departures"] == [
        "the margin was planned as 1.0 and is 2.0",
        "the level was planned as 0.05 and is 0.01",
        "the metric was planned as uar and is war",
        "the family was planned as all comparisons and is arelu · gru",
    ]
    assert (settings["rope"], settings["level"], settings["metric"]) == (2.0, 0.01, "war")
    assert settings["primary"] == ["arelu · gru"]


def test_a_report_can_be_written_of_an_unfinished_study(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "FIGURES", gallery.FIGURES[:1])
    page = Path(command("report", "demo", "--baseline", "TANH").strip())
    assert page == Path("runs/studies/demo/report/index.html")
    assert "<html" in page.read_text()
    assert "gelu" in command.fails("report", "demo", "--baseline", "gelu")


def test_the_ui_says_which_port_is_taken(command: Command, study: Path) -> None:
    (study / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = command.fails("ui", "--port", str(port))
    assert f"port {port} of this machine cannot be used" in said
    assert "--port" in said


def test_ctrl_c_before_any_training_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> Data:
        raise KeyboardInterrupt

    monkeypatch.setattr("studies.runner.read_material", interrupted)
    assert command.fails("run", "demo", code=1) == "stopped"


def test_output_that_nobody_reads_to_the_end_is_no_error() -> None:
    with subprocess.Popen(
        [*PROGRAM, "activations", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def _read_only(place: Path) -> list[str]:
    """What runs a command that sees a folder on a disk that cannot be written."""
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*own, "true"], capture_output=True).returncode:
        pytest.skip("this system does not let users have namespaces")
    shell = f'mount --bind {place} {place} && mount -o remount,bind,ro {place} && exec "$@"'
    return [*own, "sh", "-c", shell, "sh"]


@pytest.mark.services
@pytest.mark.parametrize("optimised_and_read_only", [False, True])
def test_the_ui_serves_the_runs_to_this_machine(
    command: Command, study: Path, optimised_and_read_only: bool
) -> None:
    assert "added 7 members" in command("mirror", "demo")
    python, *program = PROGRAM
    start = [*_read_only(study), python, "-OO"] if optimised_and_read_only else [python]
    port = free_port()
    body = json.dumps({"max_results": 10}).encode()
    address = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search"
    request = Request(address, body, {"Content-Type": "application/json"})
    with subprocess.Popen(
        [*start, *program, "ui", "--port", str(port), "--workspace", str(study)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert f"http://127.0.0.1:{port}" in process.stdout.readline()
            found = json.loads(first_answer(process, request, seconds=120))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
    assert "demo" in [experiment["name"] for experiment in found["experiments"]]
