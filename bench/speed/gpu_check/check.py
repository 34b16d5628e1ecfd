"""Everything there is to find out on a GPU, in one command: `make gpu-check`.

- For a machine that is rented by the hour and has little installed: torch for CUDA with Triton,
  NumPy, SciPy, SymPy, pandas, PyYAML, rich and pytest are enough, and no package index is asked.
- What was found is written after every step, so that a time limit loses nothing.
- Each part is a process of its own, because an error on a GPU spoils the process that it happens
  in. A part that fails is reported and the others run, except after failed tests: figures of a
  wrong kernel are worth nothing.
"""

import argparse
import gc
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from activations import registry
from activations.errors import InputError, on_one_line
from bench.speed.gpu_check.record import NAME, PAGE, ROOT, Record
from bench.speed.gpu_check.slice import StudySize, measure_slice, project, slowest
from bench.speed.gpu_check.summary import markdown
from bench.speed.layers import measure
from bench.speed.layers.warm import warm
from bench.speed.step_time import SESSIONS, iemocap_like_data

MODULE = "bench.speed.gpu_check.check"  # each part runs it again
PARTS = ("tests", "warm", "speed", "slice")


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    precisions: single layers are measured with `activations` (none: the whole catalogue) at the
    first one and with `sample` at the others. parts: of `gateswap speed` beside the layers, at the
    first precision; stacks at all. slice_activations: 1 is tanh, 2 also the slowest. test_seconds:
    after which the tests count as failed.
    """

    activations: tuple[str, ...]
    sample: tuple[str, ...]
    precisions: tuple[str, ...]
    hidden: tuple[int, ...]
    stack_hidden: tuple[int, ...]
    parts: tuple[str, ...]
    repeats: int
    rounds: int
    slice_activations: int
    slice_precisions: tuple[str, ...]
    test_seconds: int


FULL = Extent(
    activations=(),
    sample=("tanh", "relu", "gelu", "mish", "arelu", "pau"),
    precisions=("tf32", "ieee", "bf16"),
    hidden=(128, 256, 512),
    stack_hidden=(128, 512),
    parts=("stack", "lengths", "peers"),
    repeats=7,
    rounds=15,
    slice_activations=2,
    slice_precisions=("tf32", "bf16", "ieee"),
    test_seconds=3600,
)
QUICK = replace(  # for a few minutes on an H200 with 16 cores
    FULL,
    activations=("tanh", "relu", "gelu", "arelu"),
    sample=("tanh",),
    precisions=("tf32", "ieee"),
    stack_hidden=(128, 512),
    parts=("stack",),
    repeats=5,
    rounds=5,
    slice_activations=1,
    slice_precisions=("tf32",),
    test_seconds=240,
)
REHEARSAL = replace(  # on a CPU: that all parts run, not what they find
    QUICK,
    activations=("tanh",),
    precisions=("ieee",),
    hidden=(8,),
    stack_hidden=(8,),
    repeats=1,
    slice_precisions=("ieee",),
)


def run_tests(given: argparse.Namespace, record: Record) -> None:
    """Run the tests that need a GPU; files without one are not even imported."""
    files = [
        path
        for folder in ("activations", "bench")
        for path in sorted((ROOT / "tests" / folder).rglob("test_*.py"))
        if "mark.gpu" in path.read_text(encoding="utf-8")
    ]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", *_in_parallel(), *map(str, files)]
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    kept["OMP_NUM_THREADS"] = "1"  # in each process: the references run on the CPU
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=kept,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=given.scope.test_seconds,
            check=False,
        )
        text, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        text = output.decode(errors="replace") if isinstance(output, bytes) else output
        text, code = f"{text}\nnot finished after {given.scope.test_seconds} s", 1
    lines = text.rstrip().splitlines() or ["no output"]
    record.put("tests", passed=code == 0, counts=lines[-1], tail=lines[-60:])
    (record.folder / "gpu-tests.txt").write_text(text, encoding="utf-8")


def _in_parallel() -> list[str]:
    """Arguments of pytest for many processes, where it can: most of its time is a compiler's."""
    if importlib.util.find_spec("xdist") is None:
        return []
    return ["-n", str(min(12, max(1, (os.cpu_count() or 2) - 2))), "--dist", "worksteal"]


def run_warm(given: argparse.Namespace, record: Record) -> None:
    """Compile the layers' kernels in parallel."""
    scope = given.scope
    first, *others = scope.precisions
    layers = [(name, first) for name in scope.activations or registry.names()]
    layers += [(name, precision) for precision in others for name in scope.sample]
    jobs = [(name, H, precision) for H in scope.hidden for name, precision in layers]
    kernels: list[dict[str, Any]] = []
    for each in warm(jobs, device=given.device):
        kernels.append(asdict(each))
        record.put("warm", kernels=kernels)
    errors = [each["error"] for each in kernels if each["error"]]
    if errors:
        raise RuntimeError(f"{len(errors)} of {len(kernels)} failed; the first: {errors[0]}")


def run_speed(given: argparse.Namespace, record: Record) -> None:
    """`gateswap speed`, a run for each precision, part and size."""
    scope = given.scope
    first, *others = scope.precisions
    plan = [(first, "layer", H, scope.activations or None) for H in scope.hidden]
    for part in scope.parts:
        plan += [(first, part, H, None) for H in scope.stack_hidden[: 1 if part == "peers" else 2]]
    for precision in others:
        plan += [(precision, "layer", H, scope.sample) for H in scope.hidden]
        plan += [(precision, "stack", H, None) for H in scope.stack_hidden]
    runs: list[dict[str, Any]] = []
    for precision, part, H, names in plan:
        _log(f"speed: {precision} {part} H={H}")
        run: dict[str, Any] = {"precision": precision, "part": part, "hidden": H}
        try:
            report = measure(
                given.device,
                activations=names,
                parts=[part],
                hidden=[H],
                repeats=scope.repeats,
                precision=precision,
            )
            run["report"] = report.as_dict()
            if given.device == "cuda" and not report.kernel.startswith("gpu"):
                run["error"] = f"it ran on {report.kernel}, not on the GPU kernel"
        except Exception as error:  # one run of many: the others are worth having
            run["error"] = on_one_line(error, 500)
        runs.append(run)
        record.put("speed", runs=runs)
    errors = [run["error"] for run in runs if "error" in run]
    if errors:
        raise RuntimeError(f"{len(errors)} of {len(runs)} runs failed; the first: {errors[0]}")


def run_slice(given: argparse.Namespace, record: Record) -> None:
    """Time training steps of the study's stacks, and project its whole time."""
    study, scope = StudySize.read(given.study), given.scope
    runs = record.part("speed").get("runs", [])
    speed_rows = [row for run in runs if "report" in run for row in run["report"]["rows"]]
    names = ["tanh", slowest(study, speed_rows)][: scope.slice_activations]
    data = iemocap_like_data(given.examples, device=given.device)
    record.put(
        "slice",
        study={
            "name": study.name,
            "variants": len(study.activations) * len(study.directions),
            "members_per_variant": len(data.folds) * study.seeds,
            "steps": study.hyper.steps,
            "evaluations": study.evaluations,
            "examples": given.examples,
            "hyperparameters": study.hyper.as_dict(),
        },
    )
    rows = []
    for row in measure_slice(study, data, names, scope.slice_precisions, rounds=scope.rounds):
        _log(f"slice: {row.precision} {row.direction} {row.activation} done")
        rows.append(row)
        projection = project(study, rows, len(data.folds))
        record.put(
            "slice",
            rows=[asdict(each) for each in rows],
            projection=[asdict(each) for each in projection],
        )
        gc.collect()
        if given.device == "cuda":
            torch.cuda.empty_cache()
    errors = [error for row in rows for error in row.errors]
    if errors:
        raise RuntimeError(f"{len(errors)} of its measurements failed; the first: {errors[0]}")


RUN: dict[str, Callable[[argparse.Namespace, Record], None]] = {
    "tests": run_tests,
    "warm": run_warm,
    "speed": run_speed,
    "slice": run_slice,
}


def main(arguments: Sequence[str]) -> int:
    """Run the parts; returns 0, 1 where something failed, 2 where nothing can run here."""
    given = _parse(arguments)
    missing = _missing(given.device)
    if missing:
        print(f"gpu-check: {missing}; nothing was written", file=sys.stderr)
        return 2

    record = Record.new(given.output, quick=given.quick, device=given.device)
    if given.continued and (given.output / NAME).exists():
        record = Record.read(given.output)
        if not given.part_of_all:
            try:
                record.check_same_machine(given.device)
            except InputError as error:
                print(f"gpu-check: {error}", file=sys.stderr)
                return 2
    if len(given.parts) == 1:
        _run_part(given.parts[0], given, record)
    else:
        record = _run_apart(given, record, arguments)
    if not given.part_of_all:
        print(markdown(record.found))
        _log(f"written to {given.output / NAME} and {PAGE}")
    return int(any(record.failed(part) for part in given.parts))


def _run_apart(given: argparse.Namespace, record: Record, arguments: Sequence[str]) -> Record:
    """Run each part in a process of its own, which adds to the record; the record in the end."""
    for part in given.parts:
        record.put(part)
        own = [*arguments, "--parts", part, "--continued", "--part-of-all"]
        code = subprocess.run(
            [sys.executable, "-m", "bench.speed.gpu_check.check", *own]
        ).returncode
        record = Record.read(given.output)
        if code not in (0, 1):
            record.put(part, error=f"its process ended with code {code}")
        if part == "tests" and record.failed(part) and not given.keep_going:
            print("\n".join(record.part(part).get("tail", [])), file=sys.stderr)
            _log("the tests failed: nothing is measured (--keep-going measures all the same)")
            break
    return record


def _run_part(part: str, given: argparse.Namespace, record: Record) -> None:
    _log(part)
    record.found["parts"].pop(part, None)
    record.put(part)
    started = time.perf_counter()
    try:
        RUN[part](given, record)
    except Exception as error:  # whatever it is, it belongs on the page
        record.put(part, error=on_one_line(error, 500))
    record.put(part, seconds=time.perf_counter() - started)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    add = parser.add_argument
    add("--output", type=Path, default=Path("runs/gpu-check"), help="folder of what is written")
    add("--parts", default="", help=f"some of {','.join(PARTS)}, with commas; all by default")
    add("--quick", action="store_true", help="what fits in a few minutes on an H200")
    add("--continued", action="store_true", help="add to what --output holds of this machine")
    add("--part-of-all", action="store_true", help=argparse.SUPPRESS)
    add("--keep-going", action="store_true", help="measure even if the tests fail")
    add("--device", choices=("cuda", "cpu"), default="cuda", help="a CPU only rehearses")
    add("--study", type=Path, default=ROOT / "studies" / "paper.yaml", help="of the slice")
    add("--examples", type=int, default=sum(SESSIONS), help="made up for the slice")
    add("--rounds", type=int, help="whose median counts, of the slice")
    given = parser.parse_args(arguments)
    given.parts = [part for part in given.parts.split(",") if part] or list(PARTS)
    for part in given.parts:
        if part not in PARTS:
            parser.error(f"no part {part!r}; there are {', '.join(PARTS)}")
    given.scope = QUICK if given.quick else FULL
    if given.device == "cpu":
        given.scope = REHEARSAL
    if given.rounds:
        given.scope = replace(given.scope, rounds=given.rounds)
    return given


def _missing(device: str) -> str | None:
    """Why nothing can run here; None where it can."""
    if device == "cuda" and not torch.cuda.is_available():
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for the CPU only"
        return (
            f"torch {torch.__version__} (built {built}) sees no CUDA device; it takes an NVIDIA "
            "GPU of 2020 or later (sm_80), its driver, and torch built for CUDA"
        )
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return "Triton is not installed, and the GPU kernels are written in it: pip install triton"
    return None


def _log(text: str) -> None:
    print(f"gpu-check {datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
