"""One variant against its baseline: every test of the report, side by side.

- An activation is compared with the baseline activation in the same direction: "elu · bigru"
  with "tanh · bigru", since "tanh · gru" would mix two changes.
- The family over which p-values are adjusted is the plan's primary comparisons and, apart from
  them, all others; without primary ones it is every comparison of the report.
- What cannot be computed from an unfinished study is None, never a number from less than it says.
"""

from dataclasses import dataclass, replace

import numpy as np

from activations.errors import InputError
from reports.analysis.by_speaker import (
    FlipResult,
    flips,
    fold_contributions,
    speaker_contributions,
    speaker_shares,
)
from reports.analysis.families import Family, Judged, judge_families
from reports.analysis.selection_gap import selection_rules
from reports.analysis.settings import Settings
from reports.score_table import Predictions, Scores
from reports.statistics.arrays import FloatArray
from reports.statistics.bayes import Posterior, posterior_of
from reports.statistics.conclusions import Conclusion, Evidence, conclude
from reports.statistics.corrected_t import TTest, seed_averaged_differences
from reports.statistics.divergence import divergence_p
from reports.statistics.effects import EffectSizes, effect_sizes
from reports.statistics.equivalence import Equivalence, equivalence_of
from reports.statistics.power import Power, detectable_at, power_analysis
from reports.statistics.verdicts import Permission, Standing, permission
from reports.table_rows import Row


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """All tests of one variant against its baseline; points, variant − baseline, seeds averaged.

    folds, differences: names of the folds both have results in, and the difference in each.
    test, p_adjusted: of the settings' metric and selection, by the rule of the `family` it is in;
    NaN where no p is due. without: the same without the pairs of runs of which one diverged.
    war: corrected t-test of WAR; by_selection: under each selection rule; sound: the corrected
    t-test without the pairs of runs of which one diverged, None where too little is left.
    posterior, equivalence, equivalence_p_holm (by the family's rule), power (as one of its family),
    detectable_in_family (smallest difference that is found where all others are equal),
    divergence_p: that it diverges as often as its baseline. effects. speakers, fold_flips:
    sign-flip tests over speakers and over folds (those that share their training set as one).
    None: not computable from the results there are. Their p, divergence_p and the posterior are NaN
    or None, too, where no p is due.
    """

    variant: str
    baseline: str
    folds: tuple[str, ...]
    differences: FloatArray
    family: str
    test: TTest | None
    p_adjusted: float
    without: TTest | None
    divergence_p: float
    war: TTest | None
    by_selection: dict[str, TTest | None]
    sound: TTest | None
    posterior: Posterior | None
    equivalence: Equivalence | None
    equivalence_p_holm: float
    power: Power | None
    detectable_in_family: float
    effects: EffectSizes | None
    speakers: FlipResult | None
    fold_flips: FlipResult | None
    conclusion: Conclusion


def resolve_baselines(scores: Scores, baseline: str) -> dict[str, str]:
    """Return the label of each variant's baseline; baselines themselves have no entry.

    baseline: a variant's label ("tanh · gru"), then every other variant is compared with it; or an
    activation ("tanh"), then each variant is compared with that activation in its own direction
    and, where it was run, its own reset order and hyper-parameters, with sigmoid gates.
    Raises InputError where nothing of that name was run, or not in a variant's direction.
    """
    labels = scores.variants
    if baseline in labels:
        return {label: baseline for label in labels if label != baseline}
    named = [row for row in scores.rows if str(row.variant.activation) == baseline]
    plain = [row for row in named if str(row.variant.update) == str(row.variant.reset) == "sigmoid"]
    candidates = plain or named
    if not candidates:
        raise InputError(
            f"no variant of this study is called {baseline!r}, so it cannot be the baseline. "
            f"Variants: {', '.join(labels)}"
        )
    found = {}
    for row in scores.rows:
        if row in candidates:
            continue
        direction = row.variant.direction
        near = [other for other in candidates if other.variant.direction == direction]
        if not near:
            raise InputError(
                f"{row.label} has no baseline: {baseline} was not run as {direction}. "
                f"Name one variant as baseline: {', '.join(labels)}"
            )
        found[row.label] = max(near, key=lambda other: _alikeness(row, other)).label
    return found


def compare(
    scores: Scores, predictions: Predictions, baselines: dict[str, str], settings: Settings
) -> tuple[BaselineComparison, ...]:
    """Return every comparison of `baselines`, in the order of the variants, tests adjusted."""
    return compare_families(scores, predictions, baselines, settings)[0]


def compare_families(
    scores: Scores, predictions: Predictions, baselines: dict[str, str], settings: Settings
) -> tuple[tuple[BaselineComparison, ...], tuple[Family, ...], Permission]:
    """Return every comparison, the families they were judged in, and what may be concluded."""
    rng = np.random.default_rng(settings.seed)
    pairs = [(v, baselines[v]) for v in scores.variants if v in baselines]
    allowed = permission(
        missing=len(scores.missing),
        runs=len(scores.missing) + len(scores.runs),
        selection=settings.selection,
        level=settings.level,
        departures=settings.departures,
        growing=settings.growing,
    )
    families, judged = judge_families(scores, predictions, pairs, settings, allowed)
    made = [_alone(scores, v, b, judged[v], settings, tested=allowed.tested) for v, b in pairs]
    of_speakers = speaker_contributions(
        predictions, pairs, settings.selection, metric=settings.metric
    )
    of_folds = [
        np.bincount(scores.units, fold_contributions(scores.folds, c.folds, c.differences)).astype(
            np.float64
        )
        for c in made
    ]
    shares = speaker_shares(predictions, pairs, settings.selection, metric=settings.metric)
    equal = [np.full(len(row), 1 / max(len(row), 1)) for row in of_folds]
    speakers, folds = (
        flips(
            rows,
            parts,
            level=settings.level,
            confidence=settings.confidence,
            rng=rng,
            tested=allowed.tested,
        )
        for rows, parts in ((of_speakers, shares), (of_folds, equal))
    )
    finished = []
    for place, comparison in enumerate(made):
        found = judged[comparison.variant]
        standing = allowed.standing
        if standing == "confirmatory" and found.family == "exploratory":
            standing = "exploratory"
        comparison = replace(
            comparison,
            detectable_in_family=_in_family(comparison, found, settings),
            speakers=speakers[place],
            fold_flips=folds[place],
        )
        conclusion = _conclude(scores, comparison, found, standing, settings, allowed.level)
        finished.append(replace(comparison, conclusion=conclusion))
    return tuple(finished), families, allowed


def _alikeness(row: Row, baseline: Row) -> tuple[bool, int]:
    """How much a baseline shares with a row: its reset order first, then its gates and settings."""
    one, other = row.variant, baseline.variant
    gates = (one.update == other.update) + (one.reset == other.reset)
    settings = len(set(row.settings) & set(baseline.settings))
    return one.reset_order == other.reset_order, gates + settings


def _alone(
    scores: Scores,
    variant: str,
    baseline: str,
    judged: Judged,
    settings: Settings,
    *,
    tested: bool,
) -> BaselineComparison:
    """Everything but what needs the other comparisons, which `compare_families` fills in."""
    selection = settings.selection
    first, second = (
        scores.of(label, metric=settings.metric, selection=selection)
        for label in (variant, baseline)
    )
    differences, usable = seed_averaged_differences(first, second)
    lost = [
        scores.data["diverged"].sel(variant=label).transpose("fold", "seed").values
        for label in (variant, baseline)
    ]
    kept, _ = seed_averaged_differences(np.where(lost[0] | lost[1], np.nan, first), second)
    comparison = BaselineComparison(
        variant=variant,
        baseline=baseline,
        folds=tuple(name for name, used in zip(scores.folds, usable, strict=True) if used),
        differences=differences[usable],
        family=judged.family,
        test=judged.test,
        p_adjusted=judged.p_adjusted,
        without=judged.without,
        divergence_p=divergence_p(*lost) if tested else float("nan"),
        war=_test(scores, variant, baseline, "war", selection, settings),
        by_selection={
            rule: _test(scores, variant, baseline, settings.metric, rule, settings)
            for rule in selection_rules(scores.protocol)
        },
        sound=scores.test(kept, confidence=settings.confidence),
        posterior=posterior_of(judged.test, rope=settings.rope) if judged.test and tested else None,
        equivalence=None,
        equivalence_p_holm=judged.equivalence_p_adjusted,
        power=None,
        detectable_in_family=float("nan"),
        effects=None,
        speakers=None,
        fold_flips=None,
        conclusion=Conclusion(verdict="not compared", sentence=""),
    )
    test = judged.test
    if test is None:
        return comparison
    if usable.sum() < 2:  # one split: nothing below speaks of folds
        return replace(
            comparison,
            equivalence=equivalence_of(test, margin=settings.rope, level=settings.level),
        )
    return replace(
        comparison,
        equivalence=equivalence_of(test, margin=settings.rope, level=settings.level),
        power=power_analysis(
            scores.by_unit(first, axis=0),
            scores.by_unit(second, axis=0),
            scores.unit_ratio,
            effect=settings.effect,
            level=judged.single_level,
            power=settings.power,
            spread=test.spread,
            degrees=test.degrees_of_freedom,
        ),
        effects=effect_sizes(differences[usable]),
    )


def _test(
    scores: Scores, variant: str, baseline: str, metric: str, selection: str, settings: Settings
) -> TTest | None:
    differences, _ = seed_averaged_differences(
        *(scores.of(label, metric=metric, selection=selection) for label in (variant, baseline))
    )
    return scores.test(differences, confidence=settings.confidence)


def _in_family(comparison: BaselineComparison, judged: Judged, settings: Settings) -> float:
    test = comparison.test
    if test is None:
        return float("nan")
    return detectable_at(
        test.standard_error,
        test.degrees_of_freedom,
        level=judged.single_level,
        power=settings.power,
    )


def _conclude(
    scores: Scores,
    comparison: BaselineComparison,
    judged: Judged,
    standing: Standing,
    settings: Settings,
    level: float,
) -> Conclusion:
    counts = [_counts(scores, label) for label in (comparison.variant, comparison.baseline)]
    (runs, missing, diverged), (baseline_runs, baseline_missing, baseline_diverged) = counts
    return conclude(
        Evidence(
            variant=comparison.variant,
            baseline=comparison.baseline,
            metric=settings.measure,
            difference=comparison.test,
            p_adjusted=comparison.p_adjusted,
            equivalence=comparison.equivalence,
            equivalence_p_adjusted=comparison.equivalence_p_holm,
            detectable=comparison.detectable_in_family,
            power=settings.power,
            comparisons=judged.comparisons,
            standing=standing,
            without=judged.without,
            depends=judged.depends,
            diverged=diverged,
            baseline_diverged=baseline_diverged,
            missing=missing,
            baseline_missing=baseline_missing,
            runs=runs,
            baseline_runs=baseline_runs,
            synthetic=scores.synthetic,
            one_split=len(scores.folds) == 1,
        ),
        level=level,
    )


def _counts(scores: Scores, variant: str) -> tuple[int, int, int]:
    """Planned, missing and diverged runs of a variant."""
    own = scores.data.sel(variant=variant)
    missing = sum(run.variant == variant for run in scores.missing)
    return missing + int(own["present"].sum()), missing, int(own["diverged"].sum())
