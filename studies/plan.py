"""From a specification to members, their hashes and the stacks they train in.

- Resuming means running the members that have no file, so a member's hash covers everything that
  determines its result and nothing else: not the device, not the stack, not the study's name.
- A variant enters by the text of its formulas: a formula that changes behind an unchanged name is
  another member.
- Stacks are cut from the whole plan, not from what is missing, so that an interrupted study repeats
  the stack it was in and no other.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from activations.errors import InputError
from bench.content_hash import content_hash
from bench.data.members import Hyperparameters, Member, Variant
from bench.data.protocol import Protocol
from bench.training.identity import Conditions, CorpusIdentity
from studies.result_files import PlanRecord

if TYPE_CHECKING:  # plans are read where no specification is
    from studies.spec import StudySpec

MOST_MEMBERS = 100_000
RESULTS_VERSION = 1  # raise it when the same member would come out differently: all are run anew


@dataclass(frozen=True, kw_only=True)
class Data:
    """What members are trained on, by content.

    features: the feature store's key. folds: their names.
    """

    corpus: CorpusIdentity
    features: str
    folds: tuple[str, ...]

    @classmethod
    def of(cls, record: PlanRecord) -> "Data":
        """What the members of a plan that was saved are trained on."""
        folds = tuple(dict.fromkeys(member.fold for member in record.members.values()))
        conditions = record.conditions
        return cls(corpus=conditions.corpus, features=conditions.features, folds=folds)


@dataclass(frozen=True)
class Trial:
    """One variant with one setting, over all folds and seeds: hashes in order of fold and seed."""

    variant: Variant
    hyper: Hyperparameters
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """One variant with one setting on one fold: hashes in order of seed."""

    variant: Variant
    fold: str
    hyper: Hyperparameters
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """All members of a study by hash, and the stacks they train in (each a tuple of hashes)."""

    spec: "StudySpec"
    data: Data
    members: Mapping[str, Member]
    stacks: tuple[tuple[str, ...], ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The members grouped by variant and setting, in the plan's order."""
        return group_trials(self.members)

    @property
    def record(self) -> PlanRecord:
        """What is saved of the plan beside the results."""
        conditions = Conditions(
            protocol=self.spec.protocol, corpus=self.data.corpus, features=self.data.features
        )
        return PlanRecord(study=self.spec.name, members=dict(self.members), conditions=conditions)

    def missing(self, finished: Collection[str]) -> tuple[tuple[str, ...], ...]:
        """The stacks with only their unfinished members, empty ones left out."""
        stacks = (tuple(h for h in stack if h not in finished) for stack in self.stacks)
        return tuple(stack for stack in stacks if stack)


Chosen = Mapping[tuple[Variant, str], Hyperparameters]  # by variant and fold


def make_plan(
    spec: "StudySpec",
    data: Data,
    chosen: Chosen | None = None,
    *,
    seeds: Sequence[int] | None = None,
) -> Plan:
    """Expand a specification: variants × folds × seeds.

    chosen: the setting of each variant on each fold; by default the specification's own. seeds: by
    default the specification's, those that a rule begins with.
    Raises KeyError for a variant and fold for which none is chosen, InputError for too many
    members.
    """
    settings = spec.all_settings()
    number = len(spec.variants.variants()) * len(data.folds)
    number *= len(settings) if chosen is None else 1
    number *= len(spec.first_seeds if seeds is None else seeds)
    if number > MOST_MEMBERS:
        raise InputError(
            f"study {spec.name} asks for {number:,} members (variants × folds × seeds), and at "
            f"most {MOST_MEMBERS:,} are one study; compare fewer, or with fewer seeds"
        )
    return plan_of(
        spec,
        data,
        (
            Member(variant, fold, seed, hyper)
            for hyper in settings
            for variant in spec.variants.variants()
            for fold in data.folds
            for seed in (spec.first_seeds if seeds is None else seeds)
        )
        if chosen is None
        else (
            Member(variant, fold, seed, chosen[variant, fold])
            for variant in spec.variants.variants()
            for fold in data.folds
            for seed in (spec.first_seeds if seeds is None else seeds)
        ),
    )


def plan_of(spec: "StudySpec", data: Data, members: Iterable[Member]) -> Plan:
    """The plan of these members, in their order."""
    hashed = {member_hash(member, spec.protocol, data): member for member in members}
    return Plan(spec, data, hashed, _stacks(hashed, spec.stack.max_members))


def member_hash(member: Member, protocol: Protocol, data: Data) -> str:
    """24 hexadecimal digits of everything that determines the member's result.

    The selection does not: a result holds the predictions of every selection.
    """
    variant = member.variant.names | member.variant.formulas
    content = {"member": member.as_dict() | {"variant": variant}, **_shared(protocol, data)}
    return content_hash(content, 24)


@lru_cache(maxsize=16)
def _shared(protocol: Protocol, data: Data) -> dict[str, Any]:
    """What the hashes of a study's members have in common; for reading alone."""
    return {
        "results": RESULTS_VERSION,
        "protocol": {key: v for key, v in protocol.as_dict().items() if key != "selection"},
        "corpus": data.corpus.fingerprint,
        "features": data.features,
    }


def group_trials(members: Mapping[str, Member]) -> tuple[Trial, ...]:
    """Members by hash, grouped by variant and setting in order of first appearance."""
    groups: dict[tuple[Variant, Hyperparameters], list[str]] = {}
    for key, member in members.items():
        groups.setdefault((member.variant, member.hyper), []).append(key)
    return tuple(Trial(*group, tuple(hashes)) for group, hashes in groups.items())


def group_attempts(members: Mapping[str, Member]) -> tuple[Attempt, ...]:
    """Members by hash, grouped by variant, fold and setting in order of first appearance."""
    groups: dict[tuple[Variant, str, Hyperparameters], list[str]] = {}
    for key, member in members.items():
        groups.setdefault((member.variant, member.fold, member.hyper), []).append(key)
    return tuple(Attempt(*group, tuple(hashes)) for group, hashes in groups.items())


def _stacks(members: Mapping[str, Member], most: int) -> tuple[tuple[str, ...], ...]:
    """Members that may train together, at most `most` at once, as evenly as that allows."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for key, member in members.items():
        groups.setdefault(member.stack_group, []).append(key)
    stacks = []
    for group in groups.values():
        parts = -(-len(group) // most)
        size = -(-len(group) // parts)
        stacks += [tuple(group[start : start + size]) for start in range(0, len(group), size)]
    return tuple(stacks)
