"""What a study's report may say: the frozen plan, what was asked for instead, and earlier looks.

- The plan is told before anything runs, with what its design finds, so that it can be registered.
- Spreads are those that the study's own results show, pooled over all comparisons and so blind to
  which variant leads; without results they are assumptions, and said to be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from activations.errors import InputError
from activations.wording import counted
from bench.data.members import Member
from bench.training.results import MemberResult
from reports.analysis.comparisons import resolve_baselines
from reports.analysis.settings import Settings
from reports.score_table import load as load_scores
from reports.statistics.arrays import FloatArray
from reports.statistics.family_power import family_power
from reports.statistics.moderated import shared_degrees
from reports.statistics.power import spread_interval
from reports.statistics.spending import look_levels
from reports.statistics.variance import split_differences
from studies.frozen import (
    FrozenPlan,
    Look,
    members_hash,
    plan_content,
    plan_hash,
    read_frozen,
    read_looks,
)
from studies.growth import unfinished
from studies.loading import load
from studies.result_files import PlanRecord, read_study
from studies.seeds import ASSUMED_BETWEEN, ASSUMED_WITHIN, Metric, SeedNoise
from studies.spec import StudySpec
from studies.workspace import StudyFolder, Workspace

GAIN = 2.0  # points: what AReLU is published to gain
POWER = 0.8
FIVE_SESSIONS = np.full(5, 1 / 3)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a report is asked for; None or empty: as planned. family: labels of variants."""

    baseline: str | None = None
    margin: float | None = None
    level: float | None = None
    metric: Metric | None = None
    family: Sequence[str] = ()


AS_PLANNED = Asked()


def planned_settings(
    folder: StudyFolder,
    members: Mapping[str, Member],
    results: Sequence[MemberResult] = (),
    asked: Asked = AS_PLANNED,
) -> Settings:
    """The settings of a study's report: the plan's, with what was asked for instead.

    members, results: of its plan (by hash), and what is finished of them. Whatever is not the
    plan's is named in `departures`. Raises InputError for a torn file, and for a family in which
    nothing is compared.
    """
    spec = _spec(folder)
    plan = spec.analysis
    frozen = read_frozen(folder)
    departures = list(frozen.departures(spec)) if frozen else []
    _refuse_strangers(asked.family, spec)
    for name, given, planned in (
        ("the baseline", asked.baseline, spec.baseline.name),
        ("the margin", asked.margin, plan.margin),
        ("the level", asked.level, plan.level),
        ("the metric", asked.metric, plan.metric),
        (
            "the family",
            ", ".join(asked.family) or None,
            ", ".join(plan.primary) or "all comparisons",
        ),
    ):
        if given is not None and given != planned:
            departures.append(f"{name} was planned as {planned} and is {given}")
    level = plan.level if asked.level is None else asked.level
    ruled = spec.seed_rule is not None and (
        frozen is None or isinstance(frozen.planned.get("seeds"), Mapping)
    )
    spent, grown = _after_looks(folder, spec, members, level, ruled=ruled)
    return Settings(
        selection=spec.protocol.selection,
        metric=asked.metric or plan.metric,
        level=spent,
        rope=plan.margin if asked.margin is None else asked.margin,
        primary=tuple(asked.family) or plan.primary,
        departures=(*departures, *grown),
        growing=unfinished(spec, results),
        normalise=spec.features.normalise,
        plan=_on_record(frozen),
        looks=plan.looks,
        earlier=tuple(map(_looked, _others(folder, members))),
    )


def _refuse_strangers(family: Sequence[str], spec: StudySpec) -> None:
    labels = [variant.label for variant in spec.variants.variants()]
    for label in family:
        # settings that are varied are part of a row's label, after the variant's
        if not any(label == known or label.startswith(f"{known} · ") for known in labels):
            raise InputError(
                f"--family {label!r}: no variant of study {spec.name} is called so. "
                f"Variants: {', '.join(labels)}"
            )


def _on_record(frozen: FrozenPlan | None) -> str:
    """When a plan was frozen, in half a sentence; empty without one."""
    if frozen is None:
        return ""
    after = (
        f"when {counted(frozen.results, 'run')} (those of a search included) had finished"
        if frozen.results
        else "before the first run"
    )
    return f"{plan_hash(frozen.planned)}, frozen {after} ({frozen.when})"


def planned_baseline(folder: StudyFolder) -> str:
    """The activation that a study was run to be compared with."""
    return _spec(folder).baseline.name


def _spec(folder: StudyFolder) -> StudySpec:
    return load(str(folder.spec), workspace=Workspace(folder.root.parent.parent))


def _after_looks(
    folder: StudyFolder,
    spec: StudySpec,
    members: Mapping[str, Member],
    level: float,
    *,
    ruled: bool,
) -> tuple[float, tuple[str, ...]]:
    """The level that is left for this look, and what forbids verdicts; ruled: a rule that was
    planned adds the seeds.
    """
    planned = spec.analysis.looks
    # estimates that were read early count too, but where it is fixed how the plan goes on
    fixed = bool(planned) or ruled
    earlier = [look for look in _others(folder, members) if look.complete or not fixed]
    seeds = len({member.seed for member in members.values()})
    if not planned:
        if not earlier:
            return level, ()
        changed = _changed(earlier[-1].members, len(members))
        return level, (f"{changed}, and analysis.looks planned no second look",)
    if seeds not in planned:
        said = ", ".join(map(str, planned))
        there = "is" if seeds == 1 else "are"
        return level, (f"verdicts were planned at {said} seeds and there {there} {seeds}",)
    later = [look for look in earlier if look.seeds >= seeds]
    if later:
        return level, (_changed(later[-1].members, len(members)),)
    times = sorted({look.seeds for look in earlier} | {seeds})
    return look_levels([count / planned[-1] for count in times], level=level)[-1], ()


def _others(folder: StudyFolder, members: Mapping[str, Member]) -> list[Look]:
    """Looks at other runs than these."""
    this = members_hash(members)
    return [look for look in read_looks(folder) if look.digest != this]


def _looked(look: Look) -> str:
    unfinished_ones = "" if look.complete else ", not all finished"
    return (
        f"{counted(look.members, 'run')} of {counted(look.seeds, 'seed')}{unfinished_ones} "
        f"({look.when})"
    )


def _changed(before: int, now: int) -> str:
    """How a plan that was reported differs from the one there is, by their numbers of runs."""
    if before == now:
        return f"{counted(now, 'other run')} of this study {'was' if now == 1 else 'were'} reported"
    way = "grown" if now > before else "cut"
    return f"the plan was {way} from {before} to {now} runs after a report"


@dataclass(frozen=True)
class Spread:
    """Deviations of differences in points, between folds and of single seeds; ratio [fold].

    estimated: from results, with `degrees` of freedom; else they are assumed, for want of what
    `why` says.
    """

    between: float
    within: float
    ratio: FloatArray
    estimated: bool
    degrees: float
    why: str = "nothing has run"


def plan_paragraph(spec: StudySpec, folder: StudyFolder) -> str:
    """The plan in prose, fit for a preregistration, with what its design can find."""
    variants = spec.variants.variants()
    baseline, asked = spec.baseline.name, spec.analysis
    compared = [v for v in variants if v.activation != spec.baseline]
    frozen = read_frozen(folder)
    content = frozen.planned if frozen else plan_content(spec)
    spread = _spread(spec, folder)
    rule, folds = spec.seed_rule, spread.ratio.size
    families = [("primary", list(asked.primary))] if asked.primary else []
    rest = [v.label for v in compared if v.label not in asked.primary]
    if rest:
        families.append(("exploratory" if asked.primary else "", rest))
    sentences = [
        f"Study {spec.name}: {counted(len(variants), 'variant')}{_crossed(spec)}, "
        f"{counted(folds, 'fold')}, "
        f"{_seeds_said(spec)}; {spec.protocol.text}.",
        f"Each variant is compared with {baseline} of the same direction in "
        f"{asked.metric.upper()}, seeds averaged and folds tested with the variance corrected "
        f"for shared training data; adjusted p keep "
        f"{asked.level:.0%} in each family, and differences within ±{asked.margin:g} points count "
        "as practically equal.",
    ]
    if asked.primary:
        sentences.append(
            f"Primary comparisons: {', '.join(asked.primary)}. All others are exploratory and get "
            "no verdict."
        )
    if asked.looks:
        sentences.append(
            f"Verdicts may be read at {', '.join(map(str, asked.looks))} seeds, each look spending "
            "its share of the level (Lan and DeMets)."
        )
    else:
        sentences.append("Verdicts are read once, when all runs are finished.")
    sentences.append(
        "Runs that diverge count with the score of a constant answer, and no verdict is given that "
        f"depends on them. {_spread_said(spread)}"
    )
    seeds = rule.forecast(_noise(spread, rule.start)) if rule else len(spec.first_seeds)
    sentences += [_finds(name, members, seeds, spec, spread) for name, members in families]
    sentences.append(_state(content, frozen))
    return " ".join(sentences)


def _crossed(spec: StudySpec) -> str:
    settings = len(spec.all_settings())
    return f", each with {settings} settings" if settings > 1 else ""


def _noise(spread: Spread, seeds: int) -> SeedNoise:
    return SeedNoise(between=spread.between**2, within=spread.within**2, seeds=seeds)


def _seeds_said(spec: StudySpec) -> str:
    rule = spec.seed_rule
    if rule is None:
        return counted(len(spec.first_seeds), "seed")
    return (
        f"{rule.start} seeds, then more for all variants alike until their luck is at most "
        f"{rule.until:.0%} of the variance of a difference (pooled over variants, blind to which "
        f"leads), at most {rule.most}"
    )


def _finds(name: str, members: list[str], seeds: int, spec: StudySpec, spread: Spread) -> str:
    """What a family's design finds, with the uncertainty of the spread where it was estimated."""
    # each setting that is crossed with the variants has a baseline of its own
    baselines = [
        f"{label.split(' · ')[1]} {setting}"
        for setting in range(len(spec.all_settings()))
        for label in members
    ]
    m = len(baselines)
    finding = family_power(spread.ratio, baselines, level=spec.analysis.level)
    total = float(np.hypot(spread.between, spread.within / np.sqrt(seeds)))
    found, chance = finding.detectable(total, POWER), finding.chance(GAIN, total)
    family = counted(m, f"{name} comparison".lstrip())
    said = (
        f"{'As one of' if m > 1 else 'As the only one of'} {family} the design finds {found:.1f} "
        f"points with {POWER:.0%} probability and +{GAIN:g} with {chance:.0%}"
    )
    if spread.estimated:
        low, high = (
            finding.chance(GAIN, s) for s in reversed(spread_interval(total, spread.degrees))
        )
        said += f" ({low:.0%} to {high:.0%}, as the spread is itself estimated)"
    return said + "."


def _spread(spec: StudySpec, folder: StudyFolder) -> Spread:
    if not folder.plan.is_file():
        return Spread(ASSUMED_BETWEEN, ASSUMED_WITHIN, FIVE_SESSIONS, False, np.inf)
    record = PlanRecord.read(folder)
    results = read_study(folder)
    folds = len({member.fold for member in record.members.values()})
    assumed = Spread(ASSUMED_BETWEEN, ASSUMED_WITHIN, np.full(folds, 1 / 3), False, np.inf)
    if not results:
        return assumed
    scores, _ = load_scores(results, planned=record.members.values())
    ratio = np.where(np.isfinite(scores.ratio), scores.ratio, np.nanmean(scores.ratio))
    splits = []
    pairs = resolve_baselines(scores, spec.baseline.name)
    for variant, against in pairs.items():
        try:
            pair = (scores.of(v, metric=spec.analysis.metric) for v in (variant, against))
            splits.append(split_differences(*pair))
        except ValueError:
            continue
    splits = [split for split in splits if np.isfinite(split.within)]
    if not splits:
        lacking = "no comparison has two folds with two seeds yet"
        return Spread(ASSUMED_BETWEEN, ASSUMED_WITHIN, ratio, False, np.inf, lacking)
    return Spread(
        between=float(np.sqrt(np.mean([split.between for split in splits]))),
        within=float(np.sqrt(np.mean([split.within for split in splits]))),
        ratio=ratio,
        estimated=True,
        degrees=float(shared_degrees(ratio.size - 1, list(pairs.values()))),
    )


def _spread_said(spread: Spread) -> str:
    source = (
        "as the results so far show, pooled over all comparisons"
        if spread.estimated
        else f"an assumption: {spread.why}"
    )
    return (
        f"Differences are taken to scatter by {spread.between:.1f} points between folds and "
        f"{spread.within:.1f} between single seeds ({source})."
    )


def _state(content: object, frozen: FrozenPlan | None) -> str:
    assert isinstance(content, dict)
    digest = plan_hash(content)
    if frozen is None:
        return f"Not frozen yet: the first run freezes it as plan {digest}."
    changed = [change for change in frozen.changes if change["results"]]
    after = f", when {counted(frozen.results, 'run')} had finished" if frozen.results else ""
    said = f"Frozen as plan {digest} at {frozen.when}{after}."
    if changed:
        said += f" Changed {counted(len(changed), 'time')} after results."
    return said
