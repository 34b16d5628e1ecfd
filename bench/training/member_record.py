"""What is kept of a member while it trains, and the result that it becomes.

- Which checkpoint counts is decided as training goes: predictions are kept, of each selection the
  last that was chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.arrays import FloatArray
from bench.data.batches import TrainingData
from bench.data.members import Member
from bench.data.subset import training_part
from bench.training.identity import Environment, Identity, Origin
from bench.training.metrics import confusion, uar_from, war_from
from bench.training.results import CURVES, SELECTIONS, MemberResult, constant_logits


@dataclass(frozen=True)
class StackFacts:
    """What all results of a stack have in common; fields as in MemberResult."""

    origin: Origin
    environment: Environment
    wall_seconds: float
    stack_members: int
    peak_memory_bytes: int
    parameter_count: int


class MemberRecord:
    """What is kept of a member while it trains."""

    def __init__(self, member: Member, data: TrainingData) -> None:
        self.member = member
        self.diverged_at = 0
        self.seconds_before = 0.0  # of its share of the time, before training was interrupted
        self.curves: dict[str, list[float]] = {name: [] for name in CURVES}
        self._data = data
        self._fold = data.folds[member.fold]
        self._logits: dict[str, FloatArray] = {}
        self._dev_logits: dict[str, FloatArray] = {}
        self._selected = dict.fromkeys(SELECTIONS, 0)
        self._best = {"dev": -1.0, "oracle": -1.0}
        self._chosen: list[str] = []
        self._parameters: dict[str, list[FloatArray]] = {}

    @property
    def chose_dev(self) -> bool:
        """Whether the evaluation that was added last is the best one on dev so far."""
        return "dev" in self._chosen

    def add(
        self,
        step: int,
        logits: tuple[Tensor, Tensor],
        judged: tuple[Tensor, Tensor],
        means: Mapping[str, float],
        parameters: Mapping[str, FloatArray],
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
        self._chosen = chosen
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

    def state(self) -> dict[str, NDArray[Any]]:
        """All that is kept so far, as arrays by name."""
        selected = [self._selected[name] for name in SELECTIONS]
        found: dict[str, NDArray[Any]] = {
            "selected": np.array(selected),
            "diverged_at": np.array([self.diverged_at]),
            "best": np.array([self._best["dev"], self._best["oracle"]]),
        }
        found |= {f"curves/{name}": np.array(values) for name, values in self.curves.items()}
        found |= {f"logits/{name}": array for name, array in self._logits.items()}
        found |= {f"dev_logits/{name}": array for name, array in self._dev_logits.items()}
        found |= {f"parameters/{n}": np.stack(a) for n, a in self._parameters.items()}
        return found

    def go_on(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with what `state` gave."""
        self.diverged_at = int(state["diverged_at"][0])
        self._selected = dict(zip(SELECTIONS, state["selected"].tolist(), strict=True))
        self._best = dict(zip(("dev", "oracle"), state["best"].tolist(), strict=True))
        self.curves = {name: state[f"curves/{name}"].tolist() for name in CURVES}
        for name, array in state.items():
            group, _, rest = name.partition("/")
            if group == "logits":
                self._logits[rest] = array
            elif group == "dev_logits":
                self._dev_logits[rest] = array
            elif group == "parameters":
                self._parameters[rest] = list(array)

    def step_of(self, selection: str) -> int:
        """The step that a selection has chosen."""
        return self._selected[selection]

    def scores_of(self, selection: str) -> dict[str, float]:
        """dev_uar and test_uar at a selection's step, shares; only those that there are."""
        at = self.curves["step"].index(float(self._selected[selection]))
        found = {name: self.curves[name][at] for name in ("dev_uar", "test_uar")}
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def result(self, facts: StackFacts, diagnostics: Mapping[str, FloatArray]) -> MemberResult:
        """The finished member's result."""
        table, fold = self._data.examples, self._fold
        logits, dev_logits, selected = self._logits, self._dev_logits, self._selected
        train = training_part(self.member, table, fold)
        if self.diverged_at:
            constant = constant_logits(table.labels[train], len(fold.test), len(table.classes))
            logits = dict.fromkeys(SELECTIONS, constant)
            constant = constant_logits(table.labels[train], len(fold.dev), len(table.classes))
            dev_logits = dict.fromkeys(SELECTIONS, constant)
            selected = dict.fromkeys(SELECTIONS, 0)
        return MemberResult(
            identity=Identity.of(self.member, facts.origin, facts.environment),
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
            train_size=len(train),
            test_size=len(fold.test),
            parameters={name: np.stack(values) for name, values in self._parameters.items()},
            diagnostics={} if self.diverged_at else diagnostics,
            wall_seconds=facts.wall_seconds + self.seconds_before,
            stack_members=facts.stack_members,
            peak_memory_bytes=facts.peak_memory_bytes,
            parameter_count=facts.parameter_count,
        )
