"""A slice of a study on made-up data, and from it the time of the whole study.

- The definition is read as plain YAML: checking it (studies.spec) needs packages that a rented GPU
  machine may lack, and time depends on sizes alone.
- All members of one variant are one stack, as the study's plan makes them: folds × seeds.
- The projection is arithmetic on figures that stand beside it: stacks × (setting up + steps × a
  step + evaluations × an evaluation). What is not in it: reading the corpus, writing results, and
  the compiling of the first steps.
"""

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from activations import registry
from bench.data.batches import TrainingData
from bench.data.members import Direction, Hyperparameters, Variant
from bench.speed.gain import CONTESTANTS, Contestant, Gain, measure_gain
from bench.speed.machine import at_precision

NAIVE = "reference"
HOW = {  # contestant, stacked -> what the summary calls it
    ("kernel", True): "kernel, stacked",
    ("kernel", False): "kernel, one by one",
    (NAIVE, False): "naive loop, one by one",
}


@dataclass(frozen=True)
class StudySize:
    """What of a study's definition its time depends on."""

    name: str
    activations: tuple[str, ...]
    directions: tuple[Direction, ...]
    seeds: int
    hyper: Hyperparameters

    @classmethod
    def read(cls, path: Path) -> "StudySize":
        """Read a study definition. Raises KeyError or TypeError where it is none."""
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        variants, seeds = given["variants"], given["seeds"]
        return cls(
            name=given["name"],
            activations=tuple(variants["activation"]),
            directions=tuple(variants.get("direction", ["gru"])),
            seeds=seeds if isinstance(seeds, int) else len(seeds),
            hyper=Hyperparameters(**given.get("model", {}), **given.get("training", {})),
        )

    @property
    def evaluations(self) -> int:
        """How often a stack is evaluated: every so many steps, and after the last."""
        return -(-self.hyper.steps // self.hyper.evaluate_every)


@dataclass(frozen=True)
class SliceRow:
    """One variant at one precision: what each contestant's steps took, or why it failed."""

    activation: str
    direction: Direction
    precision: str
    gains: tuple[Gain, ...]
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Projection:
    """Hours of the whole study, as if every activation cost as the cheapest or dearest measured."""

    precision: str
    how: str
    trainings: int
    hours_low: float
    hours_high: float


def measure_slice(
    study: StudySize,
    data: TrainingData,
    activations: Sequence[str],
    precisions: Sequence[str],
    *,
    rounds: int,
    evaluations: int = 2,
) -> Iterator[SliceRow]:
    """Time training steps of a variant's whole stack, for each precision, direction, activation.

    Three contestants: the kernel stacked, the kernel one by one, the reference one by one.
    """
    for precision in precisions:
        for direction in study.directions:
            for activation in activations:
                variant = Variant(activation, direction=direction)
                with at_precision(precision):
                    gains, errors = _gains(study, data, variant, rounds, evaluations)
                yield SliceRow(activation, direction, precision, tuple(gains), tuple(errors))


def _gains(
    study: StudySize, data: TrainingData, variant: Variant, rounds: int, evaluations: int
) -> tuple[list[Gain], list[str]]:
    """All contestants in turns; where one fails, each alone, so that the others are not lost."""

    def run(contestants: Sequence[Contestant]) -> list[Gain]:
        return measure_gain(
            f"H={study.hyper.hidden_size}",
            data,
            study.hyper,
            stacked=len(data.folds) * study.seeds,
            rounds=rounds,
            variant=variant,
            contestants=contestants,
            evaluations=evaluations,
        )

    all_of_them = [each for each in CONTESTANTS if (each[0], each[2]) in HOW]
    try:
        return run(all_of_them), []
    except Exception:  # alone, below, each contestant shows its own error
        pass
    gains, errors = [], []
    for each in all_of_them:
        gc.collect()
        if data.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            gains += run([each])
        except Exception as error:
            errors.append(f"{HOW[each[0], each[2]]}: {type(error).__name__}: {error}"[:500])
    return gains, errors


def project(study: StudySize, rows: Sequence[SliceRow], folds: int) -> list[Projection]:
    """The whole study's hours, for each precision and way to train that was measured.

    A direction's activations are all taken at the least and at the most of the medians measured
    for that direction; the naive loop is taken without its evaluations.
    """
    members = len(study.activations) * len(study.directions) * folds * study.seeds
    found = []
    for precision in dict.fromkeys(row.precision for row in rows):
        of_precision = [row for row in rows if row.precision == precision]
        for (name, together), how in HOW.items():
            costs = [  # seconds of all folds and seeds of a variant, by direction
                [
                    _seconds(study, gain) * folds * study.seeds / gain.members
                    for row in of_precision
                    if row.direction == direction
                    for gain in row.gains
                    if gain.contestant == name and (gain.members > 1) == together
                ]
                for direction in study.directions
            ]
            if not all(costs):
                continue  # not measured yet, or failed
            trainings = members // (folds * study.seeds) if together else members
            low, high = (len(study.activations) / 3600 * sum(map(f, costs)) for f in (min, max))
            found.append(Projection(precision, how, trainings, low, high))
    return found


def _seconds(study: StudySize, gain: Gain) -> float:
    """Seconds of one training of all of this contestant's members."""
    evaluations = study.evaluations * (gain.evaluation_ms or 0.0)
    steps = study.hyper.steps * gain.milliseconds * gain.members
    return gain.setup_seconds + (steps + evaluations) / 1e3


def slowest(study: StudySize, speed_rows: Sequence[dict[str, Any]]) -> str:
    """The study's activation that took longest in the rows of `gateswap speed`, at the largest H.

    Where none of them was measured it is one with learnable parameters, which cost a pass more.
    """
    names = {registry.get(name).name: name for name in study.activations}
    ours = [
        row
        for row in speed_rows
        if row["contestant"] == "gateswap" and row["R"] == 1 and row["activation"] in names
    ]
    if not ours:
        learnable = [name for name in study.activations if registry.get(name).parameters]
        return (learnable or list(study.activations))[-1]
    largest = max(row["H"] for row in ours)
    return names[max((r for r in ours if r["H"] == largest), key=lambda r: r["ms"])["activation"]]
