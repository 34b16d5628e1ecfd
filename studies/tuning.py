"""Optuna: it proposes what `gateswap tune` tries, and every finished attempt is added to it.

- An attempt is judged by its dev UAR, never by test: tuning on the test fold measures luck.
- A proposal is a function of what was finished for its variant on its fold (and a seed): no score
  of another fold enters, and a tuning run that was killed continues with the members it lacks.
- Several proposals at once, to train as one stack, know each other by the constant liar: TPE counts
  what is proposed and not finished yet among the bad, so that it looks elsewhere. qTPE would take
  more evaluations before its first proposal than most budgets here have.
- Optuna's database is a mirror, as MLflow's is, and can be drawn again from the result files.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from activations.errors import GateswapError, InputError
from bench.data.members import Hyperparameters, Member, Variant
from bench.data.protocol import Protocol
from bench.training.results import MemberResult
from studies.databases import explained, one_at_a_time
from studies.plan import Attempt, Data, member_hash
from studies.reaching import bounded
from studies.result_files import PlanRecord, ResultFolder
from studies.search import SearchSpec, grid_cells
from studies.spec import PUBLISHED, StudySpec
from studies.storages import storage_of
from studies.tuned import scored
from studies.workspace import Workspace

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

MOST_ATTEMPTS = 20  # at a setting that was not tried yet, before a space counts as exhausted
RANDOM = 5  # proposals at random before TPE's first: budgets here are tens, Optuna expects hundreds


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


def with_trials(spec: StudySpec, trials: int) -> StudySpec:
    """The specification with another number of settings to try."""
    return spec.model_copy(update={"tuning": spec.tuning.model_copy(update={"trials": trials})})


def budget(spec: StudySpec) -> int:
    """How many settings are tried of each variant on each fold."""
    if spec.tuning.sampler == "grid":
        return len(grid_cells(spec.search))
    return spec.tuning.trials


def propose(
    spec: StudySpec,
    variant: Variant,
    fold: str,
    finished: Mapping[Hyperparameters, float],
    *,
    most: int,
) -> list[Hyperparameters]:
    """The next settings to try for a variant on a fold, at most `most`; none: nothing is left.

    A grid is tried cell by cell. Otherwise the first is the specification's own setting, and the
    others are TPE's. finished: what was tried, in its order, with its objective.
    """
    if spec.tuning.sampler == "grid":
        cells = [spec.with_settings(cell) for cell in grid_cells(spec.search)]
        return [cell for cell in cells if cell not in finished][:most]
    found = [] if spec.hyperparameters() in finished else [spec.hyperparameters()]
    import optuna

    space = _space(spec)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    history = [
        optuna.trial.create_trial(**_inside(spec, hyper, space), value=value)
        for hyper, value in finished.items()
    ]
    text = f"{spec.name}/{variant.names}/{fold}/{len(history)}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    sampler = optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=RANDOM, constant_liar=True, multivariate=False
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(history)
    refused = 0
    while len(found) < most and refused < MOST_ATTEMPTS:
        hyper = spec.with_settings(study.ask(dict(space)).params)
        if hyper in finished or hyper in found:
            refused += 1
        else:
            found.append(hyper)
    return found


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
    attempts: Sequence[Attempt],
    results: Mapping[str, MemberResult],
    workspace: Workspace,
) -> int:
    """Tell Optuna's study the attempts it does not know whose members are among the results.

    Returns how many those were.

    If its variants or choices are not the specification's any more, it is drawn again.
    Raises GateswapError where the database cannot be used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    place = storage_of(workspace, "Optuna")
    finished = scored(attempts, results)
    space = _space(spec) | _places(attempts)
    with explained(place, spec.name), one_at_a_time(workspace, place, ""):
        storage = optuna.storages.RDBStorage(bounded(place))
        try:
            study = _open(spec.name, storage, space, results if place.given_by else None)
            known = {trial.user_attrs.get("gateswap") for trial in study.get_trials(deepcopy=False)}
            new = {each: value for each, value in finished.items() if _digest(each) not in known}
            study.add_trials([_frozen(spec, each, value, space) for each, value in new.items()])
        finally:
            storage.engine.dispose()
    return len(new)


def _open(
    name: str,
    storage: "optuna.storages.RDBStorage",
    space: "Mapping[str, BaseDistribution]",
    ours: Collection[str] | None,
) -> "optuna.Study":
    """Optuna's study, empty if its trials were drawn from other choices (Optuna forbids a mix).

    ours: hashes of the members that can be drawn again, where others use the storage, too. Raises
    GateswapError where the study would have to be emptied of what is somebody else's.
    """
    import optuna

    described = json.dumps(
        {key: optuna.distributions.distribution_to_json(value) for key, value in space.items()},
        sort_keys=True,
    )
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    if study.user_attrs.get("space", described) != described:
        there = [each.user_attrs.get("members", ["?"]) for each in study.get_trials(deepcopy=False)]
        if ours is not None and not all(set(members) <= set(ours) for members in there):
            raise GateswapError(
                f"Optuna's study {name} has trials of other choices, whose results are not here: "
                "it is somebody else's, or results were removed. The results are not affected; "
                "give this study another name=…"
            )
        optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    if "space" not in study.user_attrs:
        study.set_user_attr("space", described)
    return study


def _frozen(
    spec: StudySpec, attempt: Attempt, value: float, space: "Mapping[str, BaseDistribution]"
) -> "optuna.trial.FrozenTrial":
    """A finished attempt as Optuna records it."""
    import optuna

    place = {"variant": attempt.variant.label, "fold": attempt.fold}
    return optuna.trial.create_trial(
        **_inside(spec, attempt.hyper, space, place),
        # without a dev set there is nothing to judge by: Optuna takes no NaN, and calls that failed
        state=optuna.trial.TrialState["FAIL" if math.isnan(value) else "COMPLETE"],
        value=None if math.isnan(value) else value,
        user_attrs={
            "gateswap": _digest(attempt),
            **place,
            "settings": attempt.hyper.as_dict(),  # one attribute: Optuna asks and writes for each
            "members": list(attempt.hashes),
        },
    )


def _inside(
    spec: StudySpec,
    hyper: Hyperparameters,
    space: "Mapping[str, BaseDistribution]",
    place: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A trial's params and distributions: the fields whose values the search could propose."""
    settings: dict[str, Any] = dict(place or {})
    settings |= {key: getattr(hyper, key.partition(".")[2]) for key in spec.search}
    inside = {key: dist for key, dist in space.items() if _holds(dist, settings[key])}
    return {"params": {key: settings[key] for key in inside}, "distributions": inside}


def _holds(distribution: "BaseDistribution", value: object) -> bool:
    """Whether a search could propose a value; None is a choice like any other."""
    try:
        inside = distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):  # no choice, or no number
        return False
    return bool(inside)


def _space(spec: StudySpec) -> "dict[str, BaseDistribution]":
    """Optuna's distributions by the dotted keys of `search`."""
    return {key: distribution(key, entry) for key, entry in spec.search.items()}


def distribution(key: str, entry: SearchSpec) -> "BaseDistribution":
    """Optuna's distribution of a field, by its dotted key."""
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


def _places(attempts: Sequence[Attempt]) -> "dict[str, BaseDistribution]":
    """Variant and fold as what Optuna calls parameters."""
    from optuna.distributions import CategoricalDistribution

    return {
        "variant": CategoricalDistribution(list(dict.fromkeys(a.variant.label for a in attempts))),
        "fold": CategoricalDistribution(list(dict.fromkeys(a.fold for a in attempts))),
    }


def _digest(attempt: Attempt) -> str:
    """The attempt's identity: its members'."""
    return hashlib.sha256(" ".join(attempt.hashes).encode()).hexdigest()[:24]
