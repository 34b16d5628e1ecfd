"""Tuning a study: round after round of settings, each fold's by its own dev set, until the budget.

- What is proposed is written down before it is trained (studies.tuned), and a round is a plan like
  any other: its members of one shape train as one stack, and a killed search goes on where it was.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from activations.files import write_atomically
from bench.data.members import Hyperparameters, Member, Variant
from studies import tuning
from studies.execution.machine import AUTOMATIC, Machine
from studies.frozen import freeze
from studies.plan import Attempt, Data, plan_of
from studies.progress import SILENT, Display
from studies.runner import Session, alone
from studies.spec import StudySpec
from studies.tuned import (
    Choice,
    TuningRecord,
    choices,
    enlarged,
    scored,
    search_conditions,
    table,
    try_setting,
)
from studies.workspace import StudyFolder, Workspace


def tune_study(
    spec: StudySpec,
    workspace: Workspace,
    *,
    machine: Machine = AUTOMATIC,
    display: Display = SILENT,
) -> dict[str, dict[str, Choice]]:
    """Try `tuning.trials` settings of each variant on each fold, or all of a grid.

    Returns what was chosen by the variant's label and fold, each by its own dev set.
    Raises as `run_study` does, and InputError where the specification has nothing to search.
    """
    tuning.check_search(spec)
    variants = set(spec.variants.variants())
    without_models = spec.model_copy(update={"keep": "none"})  # most are never looked at again
    session = Session(without_models, workspace, machine, display)
    with alone(session.folder), contextlib.closing(session):
        data = session.material().data
        freeze(spec, session.folder)  # a search scores test sets, too
        record = _search_so_far(spec, data, session.folder)
        session.results.by_hash(besides=record.members, report=session.display.say)
        while True:
            results = session.results.by_hash()
            found = scored(record.attempts, results)
            more = proposals(spec, data, record, found)
            ours = {key: m for key, m in record.members.items() if m.variant in variants}
            missing = [key for key in ours if key not in results]
            if not more and not missing:
                break
            record = enlarged(record, more)
            record.write(session.folder)
            write_atomically(session.folder.spec, spec.as_yaml())
            session.train(plan_of(spec, data, [*ours.values(), *more.values()]))
        replace(record, complete=True).write(session.folder)
        write_atomically(session.folder.spec, spec.as_yaml())
    chosen = choices(spec, found)
    return table({place: choice for place, choice in chosen.items() if place[0] in variants})


def _search_so_far(spec: StudySpec, data: Data, folder: StudyFolder) -> TuningRecord:
    """The record of the search that goes on: the folder's, if its conditions are these."""
    conditions, trials = search_conditions(spec, data), tuning.budget(spec)
    before = TuningRecord.read(folder)
    if before is None or before.conditions != conditions:
        return TuningRecord(spec.name, conditions, trials, False, {})
    return replace(before, trials=max(before.trials, trials), complete=False)


def proposals(
    spec: StudySpec, data: Data, record: TuningRecord, found: Mapping[Attempt, float]
) -> dict[str, Member]:
    """Members to try next, by hash; of a variant and fold whose last proposals are all finished."""
    finished: dict[tuple[Variant, str], dict[Hyperparameters, float]] = {}
    waiting = set()
    for attempt in record.attempts:
        place = (attempt.variant, attempt.fold)
        if attempt in found:
            finished.setdefault(place, {})[attempt.hyper] = found[attempt]
        else:
            waiting.add(place)
    members: dict[str, Member] = {}
    for variant in spec.variants.variants():
        for fold in data.folds:
            tried = finished.get((variant, fold), {})
            most = min(spec.tuning.batch, record.trials - len(tried))
            if spec.tuning.sampler == "grid":
                most = record.trials
            if (variant, fold) in waiting or most < 1:
                continue
            for hyper in tuning.propose(spec, variant, fold, tried, most=most):
                members |= try_setting(spec, data, variant, fold, hyper)
    return members
