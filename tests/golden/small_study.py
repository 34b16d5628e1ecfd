"""A small study on made-up data, and what it once gave on one machine: results must not drift.

- Arithmetic that is meant to stay (code is moved, renamed, made faster) is held to the recording,
  bit by bit. Whoever means to change it records anew, says so in the commit, and raises
  `studies.plan.RESULTS_VERSION`: every finished study trains again. Where only the order of sums
  changed, and results by no more than from one machine to another (the test's tolerance), the
  version stays: the code version that each result carries tells them apart.
- Bits depend on the processor (torch and the C compiler choose instructions by it), the compiler
  and torch. The recording names its machine; elsewhere it is held to a tolerance.

    python -m tests.golden.small_study      # record anew, on this machine
"""

import dataclasses
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from activations.kernels.cpu.compiler import find_compiler
from bench.data.members import Member, Variant
from bench.training.results import MemberResult
from bench.training.train import TrainingSettings, train_stack
from tests.bench import tiny

HERE = Path(__file__).parent
RECORDING = HERE / "small_study.npz"
MACHINE = HERE / "small_study.json"
IMPLEMENTATIONS = ("reference", "cpu")
# a plain cell, one with learnt parameters in two directions, one with another update gate
VARIANTS = {
    "tanh": Variant("tanh"),
    "arelu-bigru": Variant("arelu", direction="bigru"),
    "silu-hardsigmoid": Variant("silu", update="hardsigmoid"),
}
HYPER = dataclasses.replace(tiny.SMALL, dropout=0.2)

Arrays = dict[str, npt.NDArray[np.generic]]


def members(variant: str) -> list[Member]:
    """Two folds × two seeds."""
    return [Member(VARIANTS[variant], f"S{f}", seed, HYPER) for f in (0, 1) for seed in (0, 1)]


def train(implementation: str, variant: str) -> Arrays:
    """What the four members compute, {"curves/train_loss": [4, …], …}, on one thread.

    Raises GateswapError where the implementation cannot run.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        settings = TrainingSettings(implementation=implementation)
        results = train_stack(members(variant), tiny.data(), settings)
    finally:
        torch.set_num_threads(threads)
    rows = [dict(_computed(result)) for result in results]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def machine() -> dict[str, str]:
    """What the last bit depends on: processor, C compiler with what it knows of it, torch."""
    compiler = find_compiler()
    return {
        "processor": _processor(),
        "compiler": f"{compiler.version}, {compiler.features}",
        "compiler_fingerprint": compiler.fingerprint,
        "torch": f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
    }


def _computed(result: MemberResult) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    for group in ("curves", "logits", "parameters", "diagnostics"):
        for name, array in getattr(result, group).items():
            yield f"{group}/{name}", array
    for name, step in result.selected_step.items():
        yield f"selected_step/{name}", np.array(step)
    for name in ("ids", "truths", "dev_truths", "lengths"):
        yield name, getattr(result, name)
    yield "outcome", np.array(result.outcome)


def _processor() -> str:
    """Maker, family and model: the name alone hides the generation on rented machines."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    first = text.split("\n\n")[0].splitlines()
    fields = {k.strip(): value.strip() for k, _, value in (line.partition(":") for line in first)}
    wanted = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")
    return (
        ", ".join(f"{key} {fields[key]}" for key in wanted if key in fields) or platform.machine()
    )


def record() -> None:
    """Write what this machine computes, and which machine it is."""
    arrays = {
        f"{implementation}/{variant}/{name}": array
        for implementation in IMPLEMENTATIONS
        for variant in VARIANTS
        for name, array in train(implementation, variant).items()
    }
    np.savez_compressed(RECORDING, allow_pickle=False, **arrays)
    MACHINE.write_text(json.dumps(machine(), indent=2) + "\n")


if __name__ == "__main__":
    record()
