"""Families of comparisons: what is judged together, by which test, and with what permission.

- The plan's primary comparisons are one family; everything else is another, and exploratory.
- A complete family is judged by the rule of `statistics.family`. Where runs are missing each
  comparison is estimated by itself, from the seeds that both have, and gets no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.analysis.by_speaker import speaker_contributions
from reports.analysis.settings import Settings
from reports.score_table import Predictions, Scores
from reports.statistics.arrays import BoolArray, FloatArray
from reports.statistics.corrected_t import (
    TTest,
    seed_averaged_differences,
    t_test_of,
)
from reports.statistics.family import Judgement, judge_split
from reports.statistics.family_power import family_power
from reports.statistics.verdicts import Permission, family_verdicts

Pair = tuple[str, str]  # variant, baseline


@dataclass(frozen=True, kw_only=True)
class Family:
    """Comparisons that were judged together.

    name: "all", "primary" or "exploratory". variants: what was compared. rule: "moderated" or
    "corrected"; why: half a sentence. prior_spread, prior_degrees: what scatter over folds was
    drawn towards, in points, and the most weight of that; NaN and 0 where it was not. units: how
    many independent folds the tests count; ratio [unit]: their n_test / n_train.
    """

    name: str
    variants: tuple[str, ...]
    rule: str
    why: str
    prior_spread: float
    prior_degrees: float
    units: int
    ratio: FloatArray


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One comparison's test by the family's rule; None where fewer than two folds have both.

    p_adjusted, equivalence_p_adjusted: over the family, NaN where it is not complete. single_level:
    at which one test alone finds as much as the family's rule does of one among equals. without:
    the test without diverged pairs; depends: the verdict would be another one.
    """

    family: str
    comparisons: int
    single_level: float
    test: TTest | None
    p_adjusted: float
    equivalence_p_adjusted: float
    without: TTest | None
    depends: bool


def judge_families(
    scores: Scores,
    predictions: Predictions,
    pairs: Sequence[Pair],
    settings: Settings,
    allowed: Permission,
) -> tuple[tuple[Family, ...], dict[str, Judged]]:
    """Judge every pair; returns the families and, by variant, what was found.

    Without primary comparisons in the settings all are one family.
    """
    split = [("all", list(pairs))]
    if settings.primary:
        # a variant that is run with several settings is named once in a plan, and is several rows
        named = {
            row.label
            for row in scores.rows
            if {row.label, row.variant.label} & set(settings.primary)
        }
        split = [
            ("primary", [pair for pair in pairs if pair[0] in named]),
            ("exploratory", [pair for pair in pairs if pair[0] not in named]),
        ]
    families: list[Family] = []
    found: dict[str, Judged] = {}
    for name, members in split:
        if members:
            family, judged = _judge(name, scores, predictions, members, settings, allowed)
            families.append(family)
            found |= judged
    return tuple(families), found


def notes_on_families(families: Sequence[Family], scores: Scores) -> list[str]:
    """Which test carries the verdicts, and what the tests count as one."""
    notes = []
    for family in families:
        of = "" if family.name == "all" else f" of the {family.name} family"
        if family.rule == "moderated":
            notes.append(
                f"Verdicts{of} rest on the moderated t-test: {family.why}. Each standard deviation "
                f"over folds is drawn towards {family.prior_spread:.1f} points, with at most the "
                f"weight of {family.prior_degrees:.1f} degrees of freedom. A difference counts "
                "where no claim stands that its variant, alone or with others, equals the baseline "
                "(closed test)."
            )
        elif family.rule == "one split":
            notes.append(
                f"Verdicts{of} rest on seeds and test speakers, whose variances add up: "
                f"{family.why}. They hold for this training set; a corpus that is split once "
                "cannot speak of another."
            )
        else:
            notes.append(f"Verdicts{of} rest on the corrected t-test: {family.why}.")
    if families and families[0].units < len(scores.folds):
        notes.append(
            f"{len(scores.folds)} folds count as {families[0].units}: folds whose test speakers "
            "talk to each other are trained on the same speech."
        )
    return notes


def _judge(
    name: str,
    scores: Scores,
    predictions: Predictions,
    pairs: list[Pair],
    settings: Settings,
    allowed: Permission,
) -> tuple[Family, dict[str, Judged]]:
    first, second = (
        np.stack([_scores_of(scores, pair[side], settings) for pair in pairs]) for side in (0, 1)
    )
    both = np.isfinite(first) & np.isfinite(second)
    units = scores.units
    if units.max() < 1 and len(scores.folds) == 1:
        return _one_split(name, scores, predictions, pairs, settings, allowed)
    if not both.any(axis=2).all() or units.max() < 1:
        return _one_by_one(name, scores, pairs, settings)
    groups = np.unique([baseline for _, baseline in pairs], return_inverse=True)[1]
    lost = np.stack([_diverged(scores, v) | _diverged(scores, b) for v, b in pairs])
    verdicts = family_verdicts(
        first, second, lost, scores.ratio, groups,
        units=units, level=allowed.level, margin=settings.rope,
    )  # fmt: skip
    judged = verdicts.judged
    places = np.cumsum(verdicts.comparable) - 1
    single_level = settings.level / len(pairs)
    if judged.rule == "moderated":
        power = family_power(scores.unit_ratio, groups, level=settings.level)
        single_level = power.single_level(settings.power)
    found = {}
    for i, (variant, _) in enumerate(pairs):
        without = None
        if verdicts.without is not None and verdicts.comparable[i]:
            without = _test(verdicts.without, int(places[i]), verdicts.units, settings.confidence)
        p, equivalence_p = _adjusted(judged, i, allowed)
        found[variant] = Judged(
            family=name,
            comparisons=len(pairs),
            single_level=single_level,
            test=_test(judged, i, verdicts.units, settings.confidence),
            p_adjusted=p,
            equivalence_p_adjusted=equivalence_p,
            without=without,
            depends=bool(verdicts.depends[i]),
        )
    family = Family(
        name=name,
        variants=tuple(variant for variant, _ in pairs),
        rule=judged.rule,
        why=judged.why,
        prior_spread=float(judged.prior_spread),
        prior_degrees=float(judged.prior_degrees),
        units=verdicts.units,
        ratio=scores.unit_ratio,
    )
    return family, found


def _one_split(
    name: str,
    scores: Scores,
    predictions: Predictions,
    pairs: list[Pair],
    settings: Settings,
    allowed: Permission,
) -> tuple[Family, dict[str, Judged]]:
    """One official split: seeds and speakers carry the inference; None where two are not there."""
    first, second = (
        np.stack([_scores_of(scores, pair[side], settings)[0] for pair in pairs]) for side in (0, 1)
    )
    lost = np.stack([(_diverged(scores, v) | _diverged(scores, b))[0] for v, b in pairs])
    sound = np.where(lost, np.nan, first - second)
    judged, without = (
        _by_seeds_and_speakers(predictions, pairs, table, settings, level=allowed.level)
        for table in (first - second, sound)
    )
    nan = float("nan")
    found = {}
    for i, (variant, _) in enumerate(pairs):
        other = _split_test(without, i, settings.confidence) if lost.any() else None
        differs = (
            judged is not None
            and lost.any()
            and (
                other is None
                or not _same(judged.verdict[i], without.verdict[i] if without else nan)
            )
        )
        p, equivalence_p = _adjusted(judged, i, allowed)
        found[variant] = Judged(
            family=name,
            comparisons=len(pairs),
            single_level=settings.level / len(pairs),
            test=_split_test(judged, i, settings.confidence),
            p_adjusted=p,
            equivalence_p_adjusted=equivalence_p,
            without=other,
            depends=bool(differs),
        )
    family = Family(
        name=name,
        variants=tuple(variant for variant, _ in pairs),
        rule="one split",
        why=judged.why
        if judged
        else "one split needs two seeds and two test speakers to be judged",
        prior_spread=nan,
        prior_degrees=0.0,
        units=1,
        ratio=scores.unit_ratio,
    )
    return family, found


def _by_seeds_and_speakers(
    predictions: Predictions,
    pairs: Sequence[Pair],
    by_seed: FloatArray,
    settings: Settings,
    *,
    level: float,
) -> Judgement | None:
    """A family on one split, of the differences [m, seed] that are known; None with fewer than two
    seeds of a comparison, or two speakers.
    """
    known = np.isfinite(by_seed)
    people = speaker_contributions(
        predictions, pairs, settings.selection, metric=settings.metric, known=known
    )
    if known.sum(axis=1).min() < 2 or len(people[0]) < 2:
        return None
    return judge_split(by_seed, np.stack(people), level=level, margin=settings.rope)


def _scores_of(scores: Scores, variant: str, settings: Settings) -> FloatArray:
    """Scores [fold, seed] that verdicts are about."""
    return scores.of(variant, metric=settings.metric, selection=settings.selection)


def _adjusted(judged: Judgement | None, place: int, allowed: Permission) -> tuple[float, float]:
    """Adjusted p of a comparison and of its equivalence; NaN where none is due."""
    if judged is None or not allowed.tested:
        return float("nan"), float("nan")
    return float(judged.p_adjusted[place]), float(judged.equivalence_p_adjusted[place])


def _split_test(judged: Judgement | None, place: int, confidence: float) -> TTest | None:
    return _test(judged, place, 1, confidence) if judged else None


def _same(one: float, other: float) -> bool:
    return one == other or bool(np.isnan(one) and np.isnan(other))


def _one_by_one(
    name: str, scores: Scores, pairs: list[Pair], settings: Settings
) -> tuple[Family, dict[str, Judged]]:
    """An unfinished family: each comparison from the folds that it has."""
    found = {}
    for variant, baseline in pairs:
        differences, _ = seed_averaged_differences(
            *(_scores_of(scores, label, settings) for label in (variant, baseline))
        )
        test = scores.test(differences, confidence=settings.confidence)
        found[variant] = Judged(
            family=name,
            comparisons=len(pairs),
            single_level=settings.level / len(pairs),
            test=test,
            p_adjusted=float("nan"),
            equivalence_p_adjusted=float("nan"),
            without=None,
            depends=False,
        )
    family = Family(
        name=name,
        variants=tuple(variant for variant, _ in pairs),
        rule="corrected",
        why="folds are missing, so that each comparison is estimated from its own",
        prior_spread=float("nan"),
        prior_degrees=0.0,
        units=int(scores.units.max()) + 1,
        ratio=scores.unit_ratio,
    )
    return family, found


def _test(judged: Judgement, place: int, units: int, confidence: float) -> TTest:
    return t_test_of(
        float(judged.mean[place]),
        float(judged.spread[place]),
        float(judged.standard_error[place]),
        float(judged.degrees[place]),
        folds=units,
        confidence=confidence,
    )


def _diverged(scores: Scores, variant: str) -> BoolArray:
    table = scores.data["diverged"].sel(variant=variant).transpose("fold", "seed")
    return np.asarray(table.values, dtype=bool)
