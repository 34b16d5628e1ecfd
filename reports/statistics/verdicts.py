"""What a study may conclude at all, and whether its verdicts hang on runs that diverged.

- A verdict is promised for one look at a complete plan, scored as planned, against the planned
  baseline. Whatever is looked at otherwise gets estimates and intervals, and the reason.
- A diverged run counts with the score of a constant answer. One such run among 25 can hide eight
  points or make them up, so every verdict has to stand with and without the runs that diverged.
- Folds that share their training set (both speakers of a session) are one unit of the test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from activations.wording import counted
from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.family import Judgement, judge
from reports.statistics.means import seed_means
from reports.statistics.units import merged_units

Standing = Literal["confirmatory", "interim", "descriptive", "exploratory"]


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What a report may say: only a confirmatory one gives verdicts. why: one sentence, or empty.

    level: of the family, after what earlier looks have spent.
    """

    standing: Standing
    why: str
    level: float

    @property
    def tested(self) -> bool:
        """Whether p-values and probabilities mean anything: not before a plan is complete, nor of
        checkpoints that were chosen on the test set.
        """
        return self.standing in ("confirmatory", "exploratory")


def permission(
    *,
    missing: int,
    runs: int,
    selection: str,
    level: float,
    departures: Sequence[str] = (),
    growing: str = "",
) -> Permission:
    """Return what a report may say.

    missing: runs of the plan without a result, of `runs`. selection: the rule that is reported.
    departures: half sentences on where the analysis is not what was planned. growing: why a plan
    without missing runs is not complete yet; empty where it is.
    """
    if selection == "oracle":
        why = (
            "The checkpoint was chosen on the test set (oracle), which rewards whichever variant's "
            "scores wander most: estimates only, no verdicts."
        )
        return Permission(standing="descriptive", why=why, level=level)
    if missing:
        why = (
            f"Interim: {missing} of {counted(runs, 'planned run')} "
            f"{'has' if missing == 1 else 'have'} no result yet. Estimates and "
            "intervals only; verdicts are given once, when the plan is complete."
        )
        return Permission(standing="interim", why=why, level=level)
    if growing:
        why = (
            f"Interim: the rule by which seeds are added has not ended ({growing}). Estimates and "
            "intervals only; verdicts are given once, when it has."
        )
        return Permission(standing="interim", why=why, level=level)
    if departures:
        why = f"Exploratory: {'; '.join(departures)}. Estimates and intervals only, no verdicts."
        return Permission(standing="exploratory", why=why, level=level)
    return Permission(standing="confirmatory", why="", level=level)


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """A family judged with and without the runs that diverged; arrays are [m].

    judged: with every run. without: diverged pairs left out, None where nothing diverged;
    comparable [m]: whether a comparison has all units left without them. verdict: 1 better,
    -1 worse, 0 equal, NaN undecided; depends: it is not the same without.
    units: the number of independent units that the tests count.
    """

    judged: Judgement
    without: Judgement | None
    comparable: BoolArray
    verdict: FloatArray
    depends: BoolArray
    units: int


def family_verdicts(
    variants: npt.ArrayLike,
    baselines: npt.ArrayLike,
    diverged: npt.ArrayLike,
    ratio: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    level: float = 0.05,
    margin: float = 1.0,
) -> Verdicts:
    """Judge a complete family.

    variants, baselines: scores [m, fold, seed] in points, row by row a variant and its baseline;
    NaN: missing, and a seed counts where both have it. diverged [m, fold, seed]: either of a pair
    diverged. ratio: n_test / n_train [fold]. groups: a number for each row's baseline [m].
    units: a number for each fold [fold]; folds of one unit share their training set.
    Raises ValueError as `judge` does, and where a fold has no common seed.
    """
    pairs = np.asarray(variants, np.float64) - np.asarray(baselines, np.float64)
    lost = np.asarray(diverged, dtype=bool) & np.isfinite(pairs)
    ratio = np.asarray(ratio, dtype=np.float64)
    unit: IntArray = np.arange(pairs.shape[1]) if units is None else np.asarray(units, np.int64)
    table, shares = merged_units(seed_means(pairs), ratio, unit)
    judged = judge(table, shares, groups, level=level, margin=margin)
    m = len(table)
    if not lost.any():
        none = np.zeros(m, dtype=bool)
        return Verdicts(
            judged=judged,
            without=None,
            comparable=~none,
            verdict=judged.verdict,
            depends=none,
            units=table.shape[1],
        )
    kept, _ = merged_units(seed_means(np.where(lost, np.nan, pairs)), ratio, unit)
    comparable: BoolArray = np.asarray(np.isfinite(kept).all(axis=1))
    without = None
    verdict_without = np.full(m, np.nan)
    if comparable.any():
        numbers = np.asarray(groups)[comparable]
        # the same test as with all runs: a verdict must not change because the rule did
        same = judged.rule if comparable.sum() > 1 else "corrected"
        without = judge(kept[comparable], shares, numbers, level=level, margin=margin, rule=same)
        verdict_without[comparable] = without.verdict
    same_verdict = (judged.verdict == verdict_without) | (
        np.isnan(judged.verdict) & np.isnan(verdict_without)
    )
    depends = ~same_verdict | (~comparable & np.isfinite(judged.verdict))
    return Verdicts(
        judged=judged,
        without=without,
        comparable=comparable,
        verdict=np.where(depends, np.nan, judged.verdict),
        depends=depends,
        units=table.shape[1],
    )
