"""Training of a stack: members in, one result for each out.

- Everything a member draws (initial weights, order of examples, dropout) is keyed by the member
  itself, and no operation mixes members: a member's result is the same alone and in any stack.
- A member that diverges is frozen, recorded and left behind; its companions go on unharmed.
- Between two evaluations nothing is asked of the device, so that a GPU never waits for Python.
"""

import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activations.errors import GateswapError
from activations.kernels.precision import precision
from bench.data.batches import TrainingData, gather
from bench.data.members import Member
from bench.network.network import Network
from bench.training.diagnostics import diagnose
from bench.training.evaluation import Evaluation
from bench.training.identity import Environment, Identity, Origin
from bench.training.metrics import confusion, uar_from, war_from
from bench.training.results import CURVES, SELECTIONS, MemberResult, constant_logits
from bench.training.stack import Stack


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train, apart from what a member says; none of it changes a member's result.

    implementation: of the recurrence, see activations.kernels. evaluation_rows: examples of a
    member evaluated at once. diagnostic_utterances: development examples (of training where there
    is no dev set) whose gates are looked into at the end. origin: what only the study knows, for
    every result's identity. Data lies where training happens: `TrainingData.build(…, device)`
    chooses the device.
    """

    implementation: str = "auto"
    evaluation_rows: int = 128
    diagnostic_utterances: int = 16
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class StackProgress:
    """Where a stack is: step of steps, members alive, their mean dev UAR (NaN: none yet)."""

    step: int
    steps: int
    alive: int
    dev_uar: float


class TrainingStoppedError(GateswapError):
    """Training ended because it was asked to; there is no result."""


def train_stack(
    members: Sequence[Member],
    data: TrainingData,
    settings: TrainingSettings | None = None,
    *,
    on_progress: Callable[[StackProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[MemberResult]:
    """Train members of one stack group and return their results, in the members' order.

    on_progress is called after every step, stop before; where stop answers True,
    TrainingStoppedError is raised. Raises ValueError for members that cannot share a stack and for
    a fold that `data` does not have.
    """
    started = time.perf_counter()
    settings = settings or TrainingSettings()
    stack = Stack(members, data, settings.implementation)
    evaluation = Evaluation(members, data, settings.evaluation_rows, stack.hearing)
    records = [_Record(member, data) for member in members]
    steps, every = members[0].hyper.steps, members[0].hyper.evaluate_every
    dev_uar = float("nan")
    for step in range(1, steps + 1):
        if stop is not None and stop():
            raise TrainingStoppedError(f"training was stopped before step {step} of {steps}")
        stack.step()
        if step % every == 0 or step == steps:
            dev_uar = _evaluate(stack, evaluation, records)
        alive = sum(record.diverged_at == 0 for record in records)
        if on_progress is not None:
            on_progress(StackProgress(step, steps, alive, dev_uar))
        if not alive:
            break
    diagnostics = _diagnose(stack, data, members, settings.diagnostic_utterances)
    about = _About(
        origin=settings.origin,
        environment=_environment(stack.network, data.device),
        wall_seconds=(time.perf_counter() - started) / len(members),
        stack_members=len(members),
        peak_memory_bytes=_peak_memory(data.device),
        parameter_count=stack.network.parameter_count,
    )
    return [record.result(about, own) for record, own in zip(records, diagnostics, strict=True)]


def _evaluate(stack: Stack, evaluation: Evaluation, records: Sequence["_Record"]) -> float:
    """Evaluate all members and record them; returns the mean dev UAR of those alive, or NaN."""
    logits = judged = evaluation.logits(stack.network)
    if stack.dropout_of_choice is not None:
        judged = evaluation.logits(stack.network, stack.dropout_of_choice, stack.steps)
    stack.freeze(torch.tensor([all(bool(part.isfinite().all()) for part in own) for own in logits]))
    diverged = stack.diverged_at.tolist()
    losses, norms = stack.take_means()
    learnt = {name: v.cpu().numpy() for name, v in stack.network.activation_parameters().items()}
    scores = []
    for m, record in enumerate(records):
        record.diverged_at = diverged[m]
        if diverged[m]:
            continue
        means = {"train_loss": losses[m], "gradient_norm": norms[m]}
        parameters = {name: v[m] for name, v in learnt.items()}
        record.add(stack.steps, logits[m], judged[m], means, parameters)
        scores.append(record.curves["dev_uar"][-1])
    return float(np.mean(scores)) if scores else float("nan")


@dataclass(frozen=True)
class _About:
    """What all results of a stack have in common; fields as in MemberResult."""

    origin: Origin
    environment: Environment
    wall_seconds: float
    stack_members: int
    peak_memory_bytes: int
    parameter_count: int


class _Record:
    """What is kept of a member while it trains."""

    def __init__(self, member: Member, data: TrainingData) -> None:
        self.member = member
        self.diverged_at = 0
        self.curves: dict[str, list[float]] = {name: [] for name in CURVES}
        self._data = data
        self._fold = data.folds[member.fold]
        self._logits: dict[str, NDArray[np.float32]] = {}
        self._dev_logits: dict[str, NDArray[np.float32]] = {}
        self._selected = dict.fromkeys(SELECTIONS, 0)
        self._best = {"dev": -1.0, "oracle": -1.0}
        self._parameters: dict[str, list[NDArray[np.float32]]] = {}

    def add(
        self,
        step: int,
        logits: tuple[Tensor, Tensor],
        judged: tuple[Tensor, Tensor],
        means: Mapping[str, float],
        parameters: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Take in an evaluation: logits of dev [n_dev, C] and test [n_test, C], parameters
        [D, P, K].

        judged: the logits by which checkpoints are chosen, as `logits`, which are scored.
        """
        scores = self._scores(logits)
        choosing = scores if judged is logits else self._scores(judged)
        chosen = ["last"]
        for name, side, rows in (
            ("dev", "dev", self._fold.dev),
            ("oracle", "test", self._fold.test),
        ):
            score = choosing[f"{side}_uar"]
            # the first of equal scores counts, so that more training alone never changes a choice
            if not len(rows) or score > self._best[name]:  # nothing to choose on: the last one
                self._best[name] = score
                chosen.append(name)
        dev, test = (part.numpy() for part in logits)
        for name in chosen:
            self._logits[name], self._dev_logits[name] = test, dev
            self._selected[name] = step
        for name, value in {"step": float(step), **means, **scores}.items():
            self.curves[name].append(value)
        for name, array in parameters.items():
            self._parameters.setdefault(name, []).append(array)

    def _scores(self, logits: tuple[Tensor, Tensor]) -> dict[str, float]:
        """UAR and WAR of logits [n_dev, C] and [n_test, C], as the curves name them."""
        labels, (dev, test) = self._data.examples.labels, logits
        scores = {}
        for side, rows, own in (("dev", self._fold.dev, dev), ("test", self._fold.test, test)):
            counts = confusion(labels[rows], own.numpy().argmax(1), own.shape[1])
            scores[f"{side}_uar"] = float(uar_from(counts))
            scores[f"{side}_war"] = float(war_from(counts))
        return scores

    def result(self, about: _About, diagnostics: Mapping[str, NDArray[np.float32]]) -> MemberResult:
        """The finished member's result."""
        table, fold = self._data.examples, self._fold
        logits, dev_logits, selected = self._logits, self._dev_logits, self._selected
        if self.diverged_at:
            train = table.labels[fold.train]
            constant = constant_logits(train, len(fold.test), len(table.classes))
            logits = dict.fromkeys(SELECTIONS, constant)
            constant = constant_logits(train, len(fold.dev), len(table.classes))
            dev_logits = dict.fromkeys(SELECTIONS, constant)
            selected = dict.fromkeys(SELECTIONS, 0)
        return MemberResult(
            identity=Identity.of(self.member, about.origin, about.environment),
            outcome="diverged" if self.diverged_at else "ok",
            diverged_at=self.diverged_at or None,
            curves={name: np.array(values) for name, values in self.curves.items()},
            ids=table.ids[fold.test],
            truths=table.labels[fold.test],
            speakers=table.speaker[fold.test],
            dialogs=table.dialog[fold.test],
            lengths=self._data.lengths[0].numpy()[fold.test],
            improvised=table.improvised[fold.test],
            logits=logits,
            selected_step=selected,
            dev_truths=table.labels[fold.dev],
            dev_logits=dev_logits,
            classes=table.classes,
            train_size=len(fold.train),
            test_size=len(fold.test),
            parameters={name: np.stack(values) for name, values in self._parameters.items()},
            diagnostics={} if self.diverged_at else diagnostics,
            wall_seconds=about.wall_seconds,
            stack_members=about.stack_members,
            peak_memory_bytes=about.peak_memory_bytes,
            parameter_count=about.parameter_count,
        )


def _diagnose(
    stack: Stack, data: TrainingData, members: Sequence[Member], utterances: int
) -> list[dict[str, NDArray[np.float32]]]:
    """Diagnostics of each member on examples spread evenly over what its fold has for it."""
    examples = torch.zeros(len(members), utterances, dtype=torch.int64)
    present = torch.zeros(len(members), utterances, dtype=torch.bool)
    for m, member in enumerate(members):
        fold = data.folds[member.fold]
        rows = fold.diagnosed
        n = min(utterances, len(rows))
        places = np.linspace(0, len(rows) - 1, n).round().astype(int)
        examples[m, :n] = torch.from_numpy(rows[places])
        present[m, :n] = True
    return diagnose(stack.network, gather(data, examples, present, stack.hearing.whole))


def _environment(network: Network, device: torch.device) -> Environment:
    cuda = device.type == "cuda"
    return Environment(
        kernel=network.kernel,
        device=torch.cuda.get_device_name(device) if cuda else "cpu",
        precision=precision(),
        torch=str(torch.__version__),
        host=platform.node(),
    )


def _peak_memory(device: torch.device) -> int:
    """Bytes: the most the allocator held on the GPU, or the process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if platform.system() == "Darwin" else largest * 1024
