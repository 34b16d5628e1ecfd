"""Training of a stack: members in, one result for each out.

- Everything a member draws (initial weights, order of examples, dropout) is keyed by the member
  itself, and no operation mixes members: a member's result is the same alone and in any stack.
- A member that diverges is frozen, recorded and left behind; its companions go on unharmed.
- Between two evaluations nothing is asked of the device, so that a GPU never waits for Python.
"""

import platform
import resource
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from activations.errors import GateswapError
from bench.arrays import FloatArray
from bench.data.batches import TrainingData, gather
from bench.data.members import Member
from bench.network.network import Network
from bench.training.diagnostics import diagnose
from bench.training.evaluation import Evaluation
from bench.training.identity import Environment, Identity, Origin
from bench.training.kept_weights import KeptWeights, put_weights, weights_of
from bench.training.member_record import MemberRecord, StackFacts
from bench.training.member_state import MemberState, source_digest
from bench.training.results import MemberResult
from bench.training.saved_network import Keep, SavedNetwork
from bench.training.stack import Stack


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train, apart from what a member says; none of it changes a member's result.

    implementation: of the recurrence, see activations.kernels. evaluation_rows: examples of a
    member evaluated at once. diagnostic_utterances: development examples (of training where there
    is no dev set) whose gates are looked into at the end. origin: what only the study knows, for
    every result's identity. keep: which weights are kept of each member. features: how its frames
    were made, for whoever is to make more of them (see SavedNetwork). checkpoint_seconds: between
    two checkpoints. Data lies where training happens: `TrainingData.build(…, device)` chooses the
    device.
    """

    implementation: str = "auto"
    evaluation_rows: int = 128
    diagnostic_utterances: int = 16
    origin: Origin = field(default_factory=Origin)
    keep: Keep = "none"
    checkpoint_seconds: float = 600.0
    features: Mapping[str, Any] = field(default_factory=dict)


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
    on_networks: Callable[[list[SavedNetwork | None]], None] | None = None,
    states: Sequence[MemberState] = (),
    on_checkpoint: Callable[[list[MemberState]], None] | None = None,
) -> list[MemberResult]:
    """Train members of one stack group and return their results, in the members' order.

    on_progress is called after every step, stop before; where stop answers True,
    TrainingStoppedError is raised; on_networks gets what `settings.keep` keeps of the members, None
    of those that diverged. states: where the members are, of each one, all at the same step; where
    they were computed otherwise than now, a warning says so and training begins anew. on_checkpoint
    gets the members' states every `settings.checkpoint_seconds`. Raises ValueError for members that
    cannot share a stack and for a fold that `data` does not have.
    """
    started = time.perf_counter()
    settings = settings or TrainingSettings()
    training = _Training(members, data, settings)
    stack, steps, every = training.stack, members[0].hyper.steps, members[0].hyper.evaluate_every
    environment = _environment(stack.network, data.device)
    training.go_on(states, environment)
    dev_uar, saved = training.dev_uar(), started
    for step in range(stack.steps + 1, steps + 1):
        if stop is not None and stop():
            raise TrainingStoppedError(f"training was stopped before step {step} of {steps}")
        stack.step()
        if step % every == 0 or step == steps:
            dev_uar = training.evaluate()
        alive = sum(record.diverged_at == 0 for record in training.records)
        if on_progress is not None:
            on_progress(StackProgress(step, steps, alive, dev_uar))
        if not alive:
            break
        now = time.perf_counter()
        due = now - saved >= settings.checkpoint_seconds and step < steps
        if on_checkpoint is not None and due:
            on_checkpoint(training.states(environment, (now - started) / len(members)))
            saved = now
    diagnostics = training.diagnostics()
    facts = StackFacts(
        origin=settings.origin,
        environment=environment,
        wall_seconds=(time.perf_counter() - started) / len(members),
        stack_members=len(members),
        peak_memory_bytes=_peak_memory(data.device),
        parameter_count=stack.network.parameter_count,
    )
    if on_networks is not None:
        on_networks(training.networks(environment))
    records = zip(training.records, diagnostics, strict=True)
    return [record.result(facts, own) for record, own in records]


class _Training:
    """A stack in training, with what is kept of its members."""

    def __init__(
        self, members: Sequence[Member], data: TrainingData, settings: TrainingSettings
    ) -> None:
        self._members, self._data, self._settings = members, data, settings
        self.stack = Stack(members, data, settings.implementation)
        self._evaluation = Evaluation(members, data, settings.evaluation_rows, self.stack.hearing)
        self.records = [MemberRecord(member, data) for member in members]
        self._best = KeptWeights(self.stack.network) if settings.keep == "best" else None

    def evaluate(self) -> float:
        """Evaluate all members and record them; returns the mean dev UAR of those alive, or NaN."""
        stack = self.stack
        logits = judged = self._evaluation.logits(stack.network)
        if stack.dropout_of_choice is not None:
            judged = self._evaluation.logits(stack.network, stack.dropout_of_choice, stack.steps)
        finite = [all(bool(part.isfinite().all()) for part in own) for own in logits]
        stack.freeze(torch.tensor(finite))
        diverged = stack.diverged_at.tolist()
        losses, norms = stack.take_means()
        learnt = {n: v.cpu().numpy() for n, v in stack.network.activation_parameters().items()}
        for m, record in enumerate(self.records):
            record.diverged_at = diverged[m]
            if diverged[m]:
                continue
            means = {"train_loss": losses[m], "gradient_norm": norms[m]}
            parameters = {name: v[m] for name, v in learnt.items()}
            record.add(stack.steps, logits[m], judged[m], means, parameters)
        if self._best is not None:
            alive = (m for m, number in enumerate(diverged) if not number)
            self._best.take(m for m in alive if self.records[m].chose_dev)
        return self.dev_uar()

    def dev_uar(self) -> float:
        """The mean dev UAR of the members alive at their last evaluation; NaN before any."""
        alive = [record for record in self.records if not record.diverged_at]
        scores = [each.curves["dev_uar"][-1] for each in alive if each.curves["dev_uar"]]
        return float(np.mean(scores)) if scores else float("nan")

    def states(self, environment: Environment, seconds: float) -> list[MemberState]:
        """Where the members are, after so many seconds each since training began or went on."""
        return [self._state(m, environment, seconds) for m in range(len(self._members))]

    def _state(self, m: int, environment: Environment, seconds: float) -> MemberState:
        record, network = self.records[m], self.stack.network
        arrays = {f"record/{name}": array for name, array in record.state().items()}
        arrays |= {f"stack/{n}": t.cpu().numpy() for n, t in self.stack.state(m).items()}
        arrays |= {f"weights/{n}": array for n, array in weights_of(network, m).items()}
        if self._best is not None:
            arrays |= {f"best/{name}": array for name, array in self._best.of(m).items()}
        return MemberState(
            step=self.stack.steps,
            seconds=record.seconds_before + seconds,
            environment=environment,
            sources=source_digest(),
            arrays=arrays,
        )

    def go_on(self, states: Sequence[MemberState], environment: Environment) -> None:
        """Go on where the members are; where one cannot, warn and let all begin anew.

        Raises ValueError for states that are not one of each member, at one step.
        """
        if not states:
            return
        if len(states) != len(self._members) or len({state.step for state in states}) > 1:
            raise ValueError("training goes on with one state of each member, all at one step")
        own = [_groups(state.arrays) for state in states]
        reason = next(filter(None, (state.unfit(environment) for state in states)), "")
        if not reason and self._best is not None and any("best" not in each for each in own):
            reason = "no best weights among what was kept"
        if reason:
            warnings.warn(
                f"training of {self._members[0].variant.label} begins anew and not at step "
                f"{states[0].step}: its checkpoint has {reason}",
                stacklevel=2,
            )
            return
        moments = [
            {n: torch.from_numpy(a.copy()) for n, a in each["stack"].items()} for each in own
        ]
        self.stack.go_on(states[0].step, moments)
        for m, (record, state) in enumerate(zip(self.records, states, strict=True)):
            put_weights(self.stack.network, m, own[m]["weights"])
            if self._best is not None:
                self._best.put(m, own[m]["best"])
            record.go_on(own[m]["record"])
            record.seconds_before = state.seconds

    def diagnostics(self) -> list[dict[str, FloatArray]]:
        """Diagnostics of each member on examples spread evenly over what its fold has for it."""
        members, data, utterances = (
            self._members, self._data, self._settings.diagnostic_utterances,
        )  # fmt: skip
        examples = torch.zeros(len(members), utterances, dtype=torch.int64)
        present = torch.zeros(len(members), utterances, dtype=torch.bool)
        for m, member in enumerate(members):
            fold = data.folds[member.fold]
            rows = fold.diagnosed
            n = min(utterances, len(rows))
            places = np.linspace(0, len(rows) - 1, n).round().astype(int)
            examples[m, :n] = torch.from_numpy(rows[places])
            present[m, :n] = True
        batch = gather(data, examples, present, self.stack.hearing.whole)
        return diagnose(self.stack.network, batch)

    def networks(self, environment: Environment) -> list[SavedNetwork | None]:
        """What is kept of each member's network; None of one that diverged, or where none is."""
        if self._settings.keep == "none":
            return [None] * len(self._members)
        return [self._network(m, environment) for m in range(len(self._members))]

    def _network(self, m: int, environment: Environment) -> SavedNetwork | None:
        member, record, normal = self._members[m], self.records[m], self._data.normal
        if record.diverged_at:
            return None
        best = self._best
        return SavedNetwork(
            identity=Identity.of(member, self._settings.origin, environment),
            keep=self._settings.keep,
            step=record.step_of("last" if best is None else "dev"),
            classes=self._data.examples.classes,
            weights=weights_of(self.stack.network, m) if best is None else best.of(m),
            normal=None if normal is None else normal[member.fold].cpu().numpy(),
            features=self._settings.features,
            scores=record.scores_of("last" if best is None else "dev"),
        )


def _groups(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Arrays by the first part of their names, and the rest."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        group, _, rest = name.partition("/")
        found.setdefault(group, {})[rest] = array
    return found


def _environment(network: Network, device: torch.device) -> Environment:
    cuda = device.type == "cuda"
    return Environment(
        kernel=network.kernel,
        device=torch.cuda.get_device_name(device) if cuda else "cpu",
        precision=network.precision,
        torch=str(torch.__version__),
        host=platform.node(),
    )


def _peak_memory(device: torch.device) -> int:
    """Bytes: the most the allocator held on the GPU, or the process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if platform.system() == "Darwin" else largest * 1024
