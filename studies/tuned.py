"""What was tried in a search, and what it chose: nested, each fold's setting by its own dev set.

- Folds share speakers: one fold's dev set is another's test set. So a setting is proposed and
  chosen for one fold by the dev scores of that fold alone, and no score of another fold enters.
- tuning.json says which settings were proposed before they are trained: a search that was killed
  goes on with them, on whatever machine. Lost, it is found again from the result files.
- Of settings that are equally good on dev, the study's own is taken, then the one tried first.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from activations.errors import InputError
from activations.files import write_atomically
from bench.content_hash import content_hash
from bench.data.members import Hyperparameters, Member, Variant
from bench.training.results import MemberResult
from studies.plan import Attempt, Chosen, Data, group_attempts, member_hash
from studies.result_files import (
    PlanRecord,
    members_by_hash,
    members_with_hash,
    read_record,
)
from studies.workspace import StudyFolder

if TYPE_CHECKING:  # how far a search is can be told without it
    from studies.spec import StudySpec

FORMAT = 1


@dataclass(frozen=True)
class Choice:
    """The setting that a search chose for a variant on a fold. dev_uar: its objective, a share.

    tried: of how many settings.
    """

    hyper: Hyperparameters
    dev_uar: float
    tried: int


@dataclass(frozen=True)
class TuningRecord:
    """The search of a study: its members by hash, in the order in which they were proposed.

    conditions: a hash of everything but the variants that a proposal depends on. trials: settings
    for each variant on each fold. complete: whether the search had ended.
    """

    study: str
    conditions: str
    trials: int
    complete: bool
    members: Mapping[str, Member]

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The settings that were proposed, in their order."""
        return group_attempts(self.members)

    def write(self, folder: StudyFolder) -> None:
        """Save the record, all or nothing."""
        data = vars(self) | {"format": FORMAT, "members": members_with_hash(self.members)}
        write_atomically(folder.tuning, json.dumps(data, ensure_ascii=False, indent=1))

    @classmethod
    def read(cls, folder: StudyFolder) -> "TuningRecord | None":
        """The record of a study's search, None where there was none.

        Raises InputError for a file that cannot be read.
        """
        again = (
            f"remove it and run gateswap tune {folder.root.name} again, which writes it anew from "
            "the results"
        )
        return read_record(folder.tuning, cls._understood, again)

    @classmethod
    def _understood(cls, data: dict[str, Any]) -> "TuningRecord":
        if data.pop("format") != FORMAT:
            raise ValueError("another format")
        members = members_by_hash(data.pop("members"))
        return cls(**data, members=members)


def search_conditions(spec: "StudySpec", data: Data) -> str:
    """16 hexadecimal digits of what a search depends on beside its variants and how far it goes."""
    judged = {key: value for key, value in spec.protocol.as_dict().items() if key != "selection"}
    content = {
        "search": spec.model_dump(mode="json", include={"search"})["search"],
        "sampler": spec.tuning.sampler,
        "seeds": spec.tuning.seeds,
        "hyperparameters": spec.hyperparameters().identity(),
        "protocol": judged,
        "corpus": data.corpus.fingerprint,
        "features": data.features,
        "folds": data.folds,
    }
    return content_hash(content, 16)


def objective(results: Iterable[MemberResult]) -> float:
    """The mean dev UAR (a share) over an attempt's seeds, each at its own best checkpoint on dev.

    A diverged member counts as chance.
    """
    return float(np.mean([result.dev_uar() for result in results]))


def scored(
    attempts: Iterable[Attempt], results: Mapping[str, MemberResult]
) -> dict[Attempt, float]:
    """The attempts all of whose members are among the results (by hash), with their objective."""
    return {
        attempt: objective(results[key] for key in attempt.hashes)
        for attempt in attempts
        if all(key in results for key in attempt.hashes)
    }


def try_setting(
    spec: "StudySpec", data: Data, variant: Variant, fold: str, hyper: Hyperparameters
) -> dict[str, Member]:
    """The members, by hash, that try a setting: one for each seed of the search."""
    members = (Member(variant, fold, seed, hyper) for seed in spec.tuning.seeds)
    return {member_hash(member, spec.protocol, data): member for member in members}


def choices(
    spec: "StudySpec", attempts: Mapping[Attempt, float]
) -> dict[tuple[Variant, str], Choice]:
    """The best setting of each variant on each fold, by that fold's dev set alone.

    attempts: with their objective, in the order in which they were proposed.
    """
    own = spec.hyperparameters()
    groups: dict[tuple[Variant, str], list[tuple[float, Hyperparameters]]] = {}
    for tried, value in attempts.items():
        groups.setdefault((tried.variant, tried.fold), []).append((value, tried.hyper))
    found = {}
    for place, values in groups.items():
        best, hyper = max(values, key=lambda pair: (pair[0], pair[1] == own))
        found[place] = Choice(hyper, best, len(values))
    return found


def chosen_settings(
    spec: "StudySpec", data: Data, folder: StudyFolder, results: Mapping[str, MemberResult]
) -> Chosen:
    """The settings of a study with `settings: tuned`.

    results: by hash. Raises InputError, with what to do, where the study was not tuned as its
    specification says, or not to the end.
    """
    record = TuningRecord.read(folder)
    again = f"gateswap tune {spec.name}"
    if record is None:
        raise InputError(f"study {spec.name} runs tuned settings and was not tuned; first: {again}")
    if record.conditions != search_conditions(spec, data):
        raise InputError(
            f"study {spec.name} was tuned under other conditions (corpus, protocol, features, "
            f"model, training, search or tuning have changed); tune it again: {again}"
        )
    found = choices(spec, scored(record.attempts, results))
    for variant in spec.variants.variants():
        for fold in data.folds:
            tried = found[variant, fold].tried if (variant, fold) in found else 0
            if tried < record.trials and not (record.complete and tried):
                raise InputError(
                    f"study {spec.name} runs tuned settings, and {tried} of {record.trials} are "
                    f"tried for {variant.label} on fold {fold}; first: {again}"
                )
    return {place: choice.hyper for place, choice in found.items()}


def known_attempts(folder: StudyFolder) -> tuple[Attempt, ...]:
    """All that a study tries: the settings of its search, and those of its plan.

    Raises InputError for a study that was neither tuned nor run here.
    """
    search = TuningRecord.read(folder)
    members = {} if search is None else dict(search.members)
    if folder.plan.exists() or search is None:
        planned = PlanRecord.read(folder).members
        return (*group_attempts(members), *group_attempts(planned))
    return group_attempts(members)


def enlarged(record: TuningRecord, more: Mapping[str, Member]) -> TuningRecord:
    """The record with more members proposed."""
    return replace(record, members={**record.members, **more})


def table(found: Mapping[tuple[Variant, str], Choice]) -> dict[str, dict[str, Choice]]:
    """Choices by the variant's label and the fold."""
    by_label: dict[str, dict[str, Choice]] = {}
    for (variant, fold), choice in found.items():
        by_label.setdefault(variant.label, {})[fold] = choice
    return by_label
