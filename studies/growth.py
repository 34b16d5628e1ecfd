"""The plan that a rule for seeds has come to, from the results there are.

- A plan with a rule grows by whole rounds of seeds, all variants alike; it is complete when its
  members are and the rule asks for no more. Growing by its rule is no second look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.training.results import MemberResult
from studies.plan import Chosen, Data, Plan, make_plan
from studies.seeds import SeedNoise, check_rule, noise_of
from studies.spec import StudySpec


@dataclass(frozen=True)
class Round:
    """A plan as far as it has grown; `noise` of its finished members where a rule weighs them.

    said: where the rule stands, in one sentence; empty without a rule.
    """

    plan: Plan
    noise: SeedNoise | None = None
    said: str = ""


def grown(
    spec: StudySpec,
    data: Data,
    results: Mapping[str, MemberResult],
    chosen: Chosen | None = None,
) -> Round:
    """The plan of a specification, grown while its members are all among the results (by hash).

    chosen: the setting of each variant on each fold, by default the specification's own.
    Without a rule it is the specification's plan. Raises InputError as `seeds.check_rule`.
    """
    plan, rule = make_plan(spec, data, chosen), spec.seed_rule
    if rule is None:
        return Round(plan)
    check_rule(len(data.folds))
    while True:
        own = [results[key] for key in plan.members if key in results]
        finished = len(own) == len(plan.members)
        noise = noise_of(own, spec.analysis.metric)
        more = rule.next(noise) if finished and noise else None
        if more is None:
            return Round(plan, noise, rule.said(noise, finished=finished))
        plan = make_plan(spec, data, chosen, seeds=range(more))


def unfinished(spec: StudySpec, results: Sequence[MemberResult]) -> str:
    """Why a plan whose members are all finished is not complete: its rule; empty where it is."""
    rule = spec.seed_rule
    noise = noise_of(results, spec.analysis.metric) if rule else None
    if rule is None or noise is None or rule.next(noise) is None:
        return ""
    return rule.said(noise, finished=True)
