"""Optuna: every finished trial is added to it, and `gateswap tune` asks it for the next one.

- A trial is judged by its dev UAR, never by test: tuning on the test fold measures luck.
- Nothing is pruned: every variant gets the same number of whole trials, or the comparison is of
  budgets and not of activations.
- A proposal is a function of the finished trials of its variant (and a seed), so a tuning run that
  was killed proposes the same again and continues with the members it lacks. Optuna's database is
  a mirror, as MLflow's is, and can be drawn again from the result files.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from activations.errors import InputError
from bench.data.members import Hyperparameters, Member, Variant
from bench.data.protocol import Protocol
from bench.training.results import MemberResult
from studies.databases import explained, one_at_a_time, uri
from studies.plan import Data, Trial, group_trials, make_plan, member_hash
from studies.result_files import PlanRecord, ResultFolder
from studies.spec import PUBLISHED, SearchSpec, StudySpec
from studies.workspace import Workspace

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

MOST_ATTEMPTS = 20  # at a setting that was not tried yet, before a space counts as exhausted


def objective(results: Iterable[MemberResult]) -> float:
    """The mean dev UAR (a share) over a trial's members, each at its own best checkpoint on dev.

    A diverged member counts as chance.
    """
    return float(np.mean([result.dev_uar() for result in results]))


def finished_trials(
    spec: StudySpec, data: Data, results: Mapping[str, MemberResult]
) -> tuple[Trial, ...]:
    """The trials of a study, planned or tuned, whose folds and seeds are all among the results.

    results: by hash. Members of another protocol, corpus or variant are passed over.
    """
    ours = _belonging(results, spec.variants.variants(), spec.protocol, data)
    settings = [(trial.variant, trial.hyper) for trial in group_trials(ours)]
    trials = make_plan(spec, data, settings).trials
    return tuple(trial for trial in trials if all(key in ours for key in trial.hashes))


def tried(record: PlanRecord, results: ResultFolder) -> list[MemberResult]:
    """The results that are not the plan's but of the same study: other settings of its variants.

    Those of another corpus, other features, another protocol or a variant that the plan does not
    have are not among them, nor are files that cannot be read; these are named in a warning.
    """
    others = results.by_hash(besides=record.members, report=warnings.warn)
    variants = [member.variant for member in record.members.values()]
    ours = _belonging(others, variants, record.conditions.protocol, Data.of(record))
    return [others[key] for key in ours]


def _belonging(
    results: Mapping[str, MemberResult],
    variants: Iterable[Variant],
    protocol: Protocol,
    data: Data,
) -> dict[str, Member]:
    """The members among results by hash that are of these variants, protocol and data."""
    known = set(variants)
    return {
        key: result.member
        for key, result in results.items()
        if result.variant in known and key == member_hash(result.member, protocol, data)
    }


def propose(
    spec: StudySpec, variant: Variant, finished: Mapping[Trial, float]
) -> Hyperparameters | None:
    """The next setting to try for a variant; None where the space to search is exhausted.

    The first is the specification's own setting, the others are TPE's.
    finished: every finished trial of the variant with its objective.
    """
    tried = {trial.hyper for trial in finished}
    if spec.hyperparameters() not in tried:
        return spec.hyperparameters()
    import optuna

    space = _space(spec)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    history = [_frozen(spec, trial, value, space) for trial, value in _ordered(finished)]
    for attempt in range(MOST_ATTEMPTS):
        text = f"{spec.name}/{variant.names}/{len(history)}/{attempt}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        sampler = optuna.samplers.TPESampler(seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(history)
        hyper = spec.with_settings(study.ask(dict(space)).params)
        if hyper not in tried:
            return hyper
    return None


def check_search(spec: StudySpec) -> None:
    """Raise InputError where the specification does not say what to search, or judge it by."""
    if spec.protocol.dev == "none":
        raise InputError(
            f"study {spec.name} has protocol.dev: none, and settings are judged on the dev set; "
            "set protocol.dev to speakers, utterances or dialogues for tuning"
        )
    if not spec.search:
        raise InputError(
            f"study {spec.name} does not say what to tune; add to it, for example, "
            "search: {training.learning_rate: {low: 1e-5, high: 1e-2, log: true}}"
        )


def tell(
    spec: StudySpec,
    trials: Iterable[Trial],
    results: Mapping[str, MemberResult],
    workspace: Workspace,
) -> int:
    """Tell Optuna's study the finished trials it does not know; return how many those were.

    If its variants or choices are not the specification's any more, it is drawn again.
    Raises GateswapError where the database cannot be used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database = workspace.optuna_database
    space = _space(spec) | {"variant": _variants(spec)}
    with explained("Optuna", database, spec.name), one_at_a_time(workspace):
        storage = optuna.storages.RDBStorage(uri(database))
        study = _open(spec.name, storage, space)
        known = {trial.user_attrs.get("gateswap") for trial in study.get_trials(deepcopy=False)}
        new = [trial for trial in trials if _digest(trial) not in known]
        added = [
            _frozen(spec, trial, objective(results[key] for key in trial.hashes), space)
            for trial in new
        ]
        study.add_trials(added)
        storage.engine.dispose()
    return len(new)


def _open(
    name: str, storage: "optuna.storages.RDBStorage", space: "Mapping[str, BaseDistribution]"
) -> "optuna.Study":
    """Optuna's study, empty if its trials were drawn from other choices (Optuna forbids a mix)."""
    import optuna

    described = json.dumps(
        {key: optuna.distributions.distribution_to_json(value) for key, value in space.items()},
        sort_keys=True,
    )
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    if study.user_attrs.get("space", described) != described:
        optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    if "space" not in study.user_attrs:
        study.set_user_attr("space", described)
    return study


def _frozen(
    spec: StudySpec, trial: Trial, value: float, space: "Mapping[str, BaseDistribution]"
) -> "optuna.trial.FrozenTrial":
    """A finished trial as Optuna records it; what lies outside the search is an attribute."""
    import optuna

    settings: dict[str, Any] = {"variant": trial.variant.label}
    settings |= {key: getattr(trial.hyper, key.partition(".")[2]) for key in spec.search}
    inside = {
        key: dist
        for key, dist in space.items()
        if settings[key] is not None and dist._contains(dist.to_internal_repr(settings[key]))
    }
    return optuna.trial.create_trial(
        params={key: settings[key] for key in inside},
        distributions=inside,
        # without a dev set there is nothing to judge by: Optuna takes no NaN, and calls that failed
        state=optuna.trial.TrialState["FAIL" if math.isnan(value) else "COMPLETE"],
        value=None if math.isnan(value) else value,
        user_attrs={
            "gateswap": _digest(trial),
            "variant": trial.variant.label,
            **trial.hyper.as_dict(),
            "members": list(trial.hashes),
        },
    )


def _space(spec: StudySpec) -> "dict[str, BaseDistribution]":
    """Optuna's distributions by the dotted keys of `search`."""
    return {key: _distribution(key, entry) for key, entry in spec.search.items()}


def _distribution(key: str, entry: SearchSpec) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if entry.choices is not None:
        return CategoricalDistribution(entry.choices)
    low, high = entry.range
    if isinstance(getattr(PUBLISHED, key.partition(".")[2]), int):
        return IntDistribution(int(low), int(high), log=entry.log)
    return FloatDistribution(low, high, log=entry.log)


def _variants(spec: StudySpec) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution([variant.label for variant in spec.variants.variants()])


def _ordered(finished: Mapping[Trial, float]) -> list[tuple[Trial, float]]:
    """In an order that does not depend on which was finished first."""
    return sorted(finished.items(), key=lambda item: _digest(item[0]))


def _digest(trial: Trial) -> str:
    """The trial's identity: its members'."""
    return hashlib.sha256(" ".join(trial.hashes).encode()).hexdigest()[:24]
