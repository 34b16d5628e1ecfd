"""The verdict rule: what a family of comparisons with a baseline shows, and which test says so.

- One rule for the page and for the validation: it judges one study or thousands at once.
- Many comparisons share what their scatter looks like, and the moderated test uses it; a few do
  not, and the corrected t-test judges each by itself.
- "Better" and "worse" need the p adjusted over the family (by a closed test where the moderated
  test knows how variants and baseline scatter, by Holm elsewhere), "equal" needs Holm's p of the
  equivalence test; a difference that is both shown and small is a difference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray
from reports.statistics.closed_test import closed_test
from reports.statistics.corrected_t import correction
from reports.statistics.moderated import (
    FEWEST,
    FEWEST_FOLDS,
    PER_BASELINE,
    many,
    moderated_t_tests,
)
from reports.statistics.multiplicity import holm
from reports.statistics.one_split import split_errors

Rule = Literal["moderated", "corrected", "one split"]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Tests and verdicts of a family; arrays are [..., m], differences in points.

    rule: the test that carries the verdicts; why: half a sentence on why that one. spread: standard
    deviation over folds that the test used; standard_error contains the correction; degrees: of
    freedom. p, equivalence_p: of each comparison alone; p_adjusted: over the family, by Holm or
    `closed_test`; equivalence_p_adjusted: by Holm. verdict: 1 better, -1 worse, 0
    equal, NaN undecided. share: of each variance what `moderated` takes to be the baseline's.
    prior_spread, prior_degrees [...]: what the moderated test drew variances towards and the most
    weight it gave that, NaN and 0 for the corrected test.
    """

    rule: Rule
    why: str
    mean: FloatArray
    spread: FloatArray
    standard_error: FloatArray
    degrees: FloatArray
    p: FloatArray
    p_adjusted: FloatArray
    equivalence_p: FloatArray
    equivalence_p_adjusted: FloatArray
    verdict: FloatArray
    share: FloatArray
    prior_spread: FloatArray
    prior_degrees: FloatArray


def judge(
    differences: npt.ArrayLike,
    test_train_ratio: npt.ArrayLike,
    baselines: npt.ArrayLike,
    *,
    level: float = 0.05,
    margin: float = 1.0,
    rule: Rule | None = None,
    hasty: bool = False,
) -> Judgement:
    """Judge every comparison of a family.

    differences: [..., m, fold], in points, seeds averaged, no gaps. test_train_ratio: [fold].
    baselines: [m], a number for the baseline that each comparison has. level: family-wise; margin:
    of practical equality, in points. rule: by default the moderated test where there are `many`
    comparisons and most of them vary at all. hasty: verdicts are all that is wanted, in
    simulations: an adjusted p that is not below the level may be any larger one.
    Raises ValueError for fewer than two folds, no comparison, or missing values.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim < 2 or not table.size or table.shape[-1] < 2 or not np.isfinite(table).all():
        raise ValueError(f"differences must be finite and [m, fold ≥ 2], not {table.shape}")
    m, folds = table.shape[-2:]
    own = table.std(axis=-1, ddof=1)
    varies = bool((np.median(own, axis=-1) > 0).all())
    chosen: Rule = rule or ("moderated" if many(baselines, folds) and varies else "corrected")
    mean = table.mean(axis=-1)
    prior_spread = np.full(table.shape[:-2], np.nan)
    prior_degrees = np.zeros(table.shape[:-2])
    share = np.zeros(mean.shape)
    if chosen == "moderated":
        found = moderated_t_tests(table, test_train_ratio, baselines)
        spread, error, degrees = found.spread, found.standard_error, found.degrees
        prior_spread, prior_degrees = found.prior_spread, found.prior_degrees
        share = found.share
    else:
        spread = np.where(own <= 1e-12 * np.maximum(1.0, np.abs(table).max(axis=-1)), 0.0, own)
        error = spread * correction(folds, test_train_ratio) ** 0.5
        degrees = np.full(mean.shape, folds - 1.0)
    tested = _Tested(mean, spread, error, degrees, share, prior_spread, prior_degrees)

    def adjust(p: FloatArray) -> FloatArray:
        if chosen != "moderated":
            return holm(p)
        asked, enough = (p < level, level) if hasty else (None, 1.0)
        return closed_test(table, found, test_train_ratio, baselines, asked=asked, enough=enough)

    why = _why(chosen, m, many(baselines, folds), varies)
    return _concluded(tested, adjust, chosen, why, level, margin)


def judge_split(
    by_seed: npt.ArrayLike, by_speaker: npt.ArrayLike, *, level: float = 0.05, margin: float = 1.0
) -> Judgement:
    """Judge every comparison of a family on one official split, by seeds and speakers.

    by_seed [m, seed], by_speaker [m, speaker]: as in `one_split.split_errors`, whose errors count.
    """
    found = split_errors(by_seed, by_speaker)
    nothing = np.full(found.mean.shape[:-1], np.nan)
    error = found.standard_error
    share = np.zeros(error.shape)
    tested = _Tested(found.mean, error, error, found.degrees, share, nothing, nothing * 0)
    why = "there is one split and no fold, so that seeds and test speakers carry the inference"
    return _concluded(tested, holm, "one split", why, level, margin)


class _Tested(NamedTuple):
    """What a rule makes of a family: [..., m], and the prior [...]."""

    mean: FloatArray
    spread: FloatArray
    error: FloatArray
    degrees: FloatArray
    share: FloatArray
    prior_spread: FloatArray
    prior_degrees: FloatArray


def _concluded(
    tested: _Tested,
    adjust: Callable[[FloatArray], FloatArray],
    rule: Rule,
    why: str,
    level: float,
    margin: float,
) -> Judgement:
    """Tests, their adjustment over the family and verdicts."""
    mean, error, degrees = tested.mean, tested.error, tested.degrees
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2.0 * stats.t.sf(np.abs(mean) / error, degrees)
        equivalence_p = stats.t.sf((margin - np.abs(mean)) / error, degrees)
    still = error == 0  # nothing can be inferred from scores that do not vary
    p = np.where(still, (mean == 0).astype(np.float64), p)
    equivalence_p = np.where(still, (np.abs(mean) >= margin).astype(np.float64), equivalence_p)
    p_adjusted, equivalence_adjusted = adjust(p), holm(equivalence_p)
    return Judgement(
        rule=rule,
        why=why,
        mean=mean,
        spread=tested.spread,
        standard_error=error,
        degrees=degrees,
        p=p,
        p_adjusted=p_adjusted,
        equivalence_p=equivalence_p,
        equivalence_p_adjusted=equivalence_adjusted,
        verdict=verdict_of(mean, error, p_adjusted, equivalence_adjusted, level=level),
        share=tested.share,
        prior_spread=tested.prior_spread,
        prior_degrees=tested.prior_degrees,
    )


def verdict_of(
    mean: npt.ArrayLike,
    standard_error: npt.ArrayLike,
    p_adjusted: npt.ArrayLike,
    equivalence_p_adjusted: npt.ArrayLike,
    *,
    level: float,
) -> FloatArray:
    """The rule itself: 1 better, -1 worse, 0 equal, NaN undecided; all arrays [...].

    Nothing follows from scores that do not vary (standard_error 0), nor from a p that is NaN.
    """
    verdict = np.where(np.asarray(equivalence_p_adjusted) < level, 0.0, np.nan)
    verdict = np.where(np.asarray(p_adjusted) < level, np.sign(mean), verdict)
    return np.where(np.asarray(standard_error) == 0, np.nan, verdict)


def _why(rule: Rule, comparisons: int, many: bool, varies: bool) -> str:
    if rule == "moderated":
        return f"{comparisons} comparisons share what their scatter over folds looks like"
    if not many:
        return (
            f"under {FEWEST} comparisons, {PER_BASELINE} for each baseline, or {FEWEST_FOLDS} "
            "folds know too little of their scatter to share it"
        )
    if not varies:
        return "most comparisons do not vary over folds, so that there is no scatter to share"
    return "each comparison is judged by its own scatter, as asked"
