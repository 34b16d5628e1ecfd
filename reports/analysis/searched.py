"""What a search for settings tried, chose and gave: nested, each fold's by its own dev set.

- Dev scores of what was chosen are too good: they are the best of several. What tuning gave is told
  by test scores, of the seeds that were searched with: the chosen settings against the study's own.
- Test scores of other settings are shown nowhere: that would invite choosing by them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.data.members import Hyperparameters
from bench.training import metrics
from bench.training.results import MemberResult
from reports.statistics.arrays import FloatArray, IntArray
from reports.statistics.corrected_t import TTest, corrected_t_test
from reports.statistics.means import POINTS
from reports.statistics.units import known_by_unit, ratio_by_unit


@dataclass(frozen=True)
class Tried:
    """A setting that was tried for a variant (its label) on a fold; results: one for each seed."""

    variant: str
    fold: str
    hyper: Hyperparameters
    results: tuple[MemberResult, ...]


@dataclass(frozen=True)
class SearchDesign:
    """A study's search: space by dotted field (low, high, log or choices), the study's own setting,
    and what was tried, in its order. confirmed: whether the study runs what was chosen.
    """

    space: Mapping[str, Mapping[str, Any]]
    own: Hyperparameters
    sampler: str
    seeds: tuple[int, ...]
    confirmed: bool
    tried: tuple[Tried, ...]


@dataclass(frozen=True, kw_only=True)
class SearchPoint:
    """One setting on one fold, values by field; dev_uar in points."""

    variant: str
    fold: str
    settings: dict[str, Any]
    dev_uar: float


@dataclass(frozen=True, kw_only=True)
class TunedVariant:
    """What a search found for a variant; points of UAR, means over folds, on the search's seeds.

    chosen: by field, the chosen values with the number of folds that have each, most frequent
    first. own_dev, own_test: of the study's own setting, NaN where it was not tried. gain: test UAR
    of the chosen settings minus that of the own one, None where there is nothing to test.
    """

    variant: str
    tried: int
    chosen: dict[str, tuple[tuple[str, int], ...]]
    dev: float
    test: float
    own_dev: float
    own_test: float
    gain: TTest | None


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search as the report tells it. most: settings tried of each variant on each fold."""

    fields: tuple[str, ...]
    space: dict[str, dict[str, Any]]
    sampler: str
    seeds: tuple[int, ...]
    confirmed: bool
    most: int
    variants: tuple[TunedVariant, ...]
    points: tuple[SearchPoint, ...]


def search_of(
    design: SearchDesign | None,
    folds: Sequence[str],
    ratio: FloatArray,
    units: IntArray | None = None,
    *,
    selection: str,
) -> Search | None:
    """What a search found; None without one.

    folds, ratio [fold], units [fold]: of the study, see `score_table.Scores`; by default every fold
    is a unit. selection: the rule by which test scores are taken.
    """
    if design is None or not design.tried:
        return None
    places: dict[str, dict[str, list[Tried]]] = {}
    for one in design.tried:
        places.setdefault(one.variant, {}).setdefault(one.fold, []).append(one)
    names = {key: key.partition(".")[2] for key in design.space}
    unit = np.arange(len(folds)) if units is None else units

    def gain(by_fold: FloatArray) -> TTest | None:
        merged, ratios = known_by_unit(by_fold, unit), ratio_by_unit(ratio, unit)
        usable = np.isfinite(merged) & np.isfinite(ratios)
        if len(set(merged[usable].tolist())) < 2:
            return None
        return corrected_t_test(merged[usable], ratios[usable])

    variants = tuple(
        _tuned(label, by_fold, design, names, folds, selection, gain)
        for label, by_fold in places.items()
    )
    return Search(
        fields=tuple(design.space),
        space={key: dict(entry) for key, entry in design.space.items()},
        sampler=design.sampler,
        seeds=design.seeds,
        confirmed=design.confirmed,
        most=max(one.tried for one in variants),
        variants=variants,
        points=tuple(
            SearchPoint(
                variant=one.variant,
                fold=one.fold,
                settings={key: getattr(one.hyper, name) for key, name in names.items()},
                dev_uar=_dev(one),
            )
            for one in design.tried
        ),
    )


def _tuned(
    label: str,
    by_fold: Mapping[str, Sequence[Tried]],
    design: SearchDesign,
    names: Mapping[str, str],
    folds: Sequence[str],
    selection: str,
    gain: Callable[[FloatArray], TTest | None],
) -> TunedVariant:
    best = {
        fold: max(tried, key=lambda one: (_dev(one), one.hyper == design.own))
        for fold, tried in by_fold.items()
    }
    own = {f: one for f, tried in by_fold.items() for one in tried if one.hyper == design.own}
    gains = {f: _test(best[f], selection) - _test(one, selection) for f, one in own.items()}
    return TunedVariant(
        variant=label,
        tried=max(map(len, by_fold.values())),
        chosen={
            key: tuple(
                Counter(said(getattr(one.hyper, name)) for one in best.values()).most_common()
            )
            for key, name in names.items()
        },
        dev=_mean([_dev(one) for one in best.values()]),
        test=_mean([_test(one, selection) for one in best.values()]),
        own_dev=_mean([_dev(one) for one in own.values()]),
        own_test=_mean([_test(one, selection) for one in own.values()]),
        gain=gain(np.array([gains.get(fold, np.nan) for fold in folds])),
    )


def said(value: object) -> str:
    """A setting's value as it is printed."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _dev(one: Tried) -> float:
    return POINTS * float(np.mean([result.dev_uar() for result in one.results]))


def _test(one: Tried, selection: str) -> float:
    scores = [metrics.uar_from(result.confusion(selection)) for result in one.results]
    return POINTS * float(np.mean(scores))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
