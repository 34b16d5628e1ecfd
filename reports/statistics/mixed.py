"""Factor effects across variants: does the activation matter, the direction, and do they interact?

- Comparing each variant with the baseline asks many questions of few folds; a factorial design
  answers "does the activation matter at all" with one.
- Folds and their speakers are random, and so is what a fold makes of a factor: without that last
  term, 20 scores of one fold would count as 20 independent pieces of evidence.
- Folds share training data, which a mixed model knows nothing of: its errors are widened as those
  of the corrected t-test are.
- A mixed model may fail to converge on a handful of folds. Then there is no result, and it says so.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class FactorTest:
    """A Wald F-test of one factor: `numerator`, `denominator` degrees of freedom."""

    factor: str
    f: float
    numerator: int
    denominator: int
    p: float


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A factor's level against its reference, averaged over the other factor, in points."""

    factor: str
    level: str
    reference: str
    estimate: float
    standard_error: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, kw_only=True)
class FactorEffects:
    """What a mixed model says about activation × direction, or why it says nothing.

    converged: False leaves tests and contrasts empty and puts the reason into `note`.
    deviations: standard deviations of the random effects in points.
    """

    converged: bool
    note: str
    tests: tuple[FactorTest, ...]
    contrasts: tuple[Contrast, ...]
    deviations: dict[str, float]
    observations: int
    confidence: float


def factor_effects(
    scores: npt.ArrayLike,
    activations: Sequence[str],
    directions: Sequence[str],
    folds: Sequence[str],
    speakers: Sequence[str],
    *,
    test_train_ratio: npt.ArrayLike,
    baseline: str,
    reference_direction: str = "gru",
    confidence: float = 0.95,
) -> FactorEffects:
    """Fit score = activation × direction + fold × (1 + activation × direction) + speaker + rest.

    scores, activations, directions, folds, speakers: [row]; a row is the UAR in points of one
    variant on one speaker, seeds averaged. test_train_ratio: [fold], n_test / n_train. baseline:
    the activation that contrasts refer to.
    The first two factors are fixed, the rest random (REML, statsmodels' MixedLM). Tests use
    (folds − 1) · numerator error degrees of freedom, as the repeated-measures analysis of variance
    of a balanced design does, not statsmodels' normal approximation, which is far too trusting
    with five folds. A contrast is in effect a mean over folds, so its variance is multiplied by
    1 + k · mean(n_test / n_train) for k folds, as Nadeau & Bengio (2003) do for a mean.
    Raises ValueError for fewer than two folds, or where neither factor has two levels.
    """
    import pandas as pd

    table = pd.DataFrame(
        {
            "score": np.asarray(scores, dtype=np.float64),
            "activation": list(activations),
            "direction": list(directions),
            "fold": list(folds),
            "speaker": list(speakers),
        }
    ).dropna()
    levels = {
        "activation": _reference_last(table["activation"], baseline),
        "direction": _reference_last(table["direction"], reference_direction),
    }
    for factor, names in levels.items():  # numbers: a formula's text would confuse patsy
        table[factor] = pd.Categorical([names.index(v) for v in table[factor]], range(len(names)))
    varied = [factor for factor in levels if len(levels[factor]) > 1]
    count = int(table["fold"].nunique())
    if count < 2 or not varied:
        raise ValueError("factor effects need two folds and a factor with two levels")
    cells = int(np.prod([len(names) for names in levels.values()]))
    crossed = len(varied) == 2 and len(table[[*levels]].drop_duplicates()) == cells
    coded = {factor: f"C({factor}, Sum)" for factor in varied}
    formula = "score ~ " + (" * " if crossed else " + ").join(coded.values())
    random = {f"fold × {factor}": f"0 + C({factor})" for factor in varied}
    if table.groupby("fold")["speaker"].nunique().max() > 1:
        random["speaker"] = "0 + C(speaker)"
        if crossed:  # without speakers this one is the rest
            random["fold × activation × direction"] = "0 + C(activation):C(direction)"
    fit, note = _fit(formula, table, random)
    if fit is None:
        return FactorEffects(
            converged=False,
            note=note,
            tests=(),
            contrasts=(),
            deviations={},
            observations=len(table),
            confidence=confidence,
        )
    names = list(fit.fe_params.index)
    beta = fit.fe_params.to_numpy()
    covariance = fit.cov_params().to_numpy()[: len(names), : len(names)]
    covariance = covariance * (1 + count * float(np.asarray(test_train_ratio, np.float64).mean()))
    columns = {
        factor: [i for i, n in enumerate(names) if n.startswith(coded[factor]) and ":" not in n]
        for factor in varied
    }
    tested = dict(columns)
    if crossed:
        tested["activation × direction"] = [i for i, n in enumerate(names) if ":" in n]
    deviations = dict(zip(sorted(random), np.sqrt(np.maximum(fit.vcomp, 0)), strict=True))
    deviations |= {"fold": max(float(fit.cov_re.iloc[0, 0]), 0.0) ** 0.5, "rest": fit.scale**0.5}
    partial = len(varied) == 2 and not crossed
    return FactorEffects(
        converged=True,
        note="Not every combination was run: main effects only." if partial else "",
        tests=tuple(_wald(f, beta, covariance, chosen, count) for f, chosen in tested.items()),
        contrasts=tuple(
            contrast
            for factor in varied
            for contrast in _contrasts(
                factor, levels[factor], beta, covariance, columns[factor], count, confidence
            )
        ),
        deviations={name: float(value) for name, value in deviations.items()},
        observations=len(table),
        confidence=confidence,
    )


def _reference_last(values: Iterable[str], reference: str) -> list[str]:
    """Sum coding leaves the last level out; the reference has to be that one."""
    found = list(dict.fromkeys(values))
    return [v for v in found if v != reference] + [v for v in found if v == reference]


def _fit(formula: str, table: Any, random: dict[str, str]) -> tuple[Any, str]:
    """Return (fit, "") or (None, why not); optimisers fail on different data, so three try."""
    import statsmodels.formula.api as smf

    reason = ""
    for optimiser in ("bfgs", "lbfgs", "powell"):
        with warnings.catch_warnings():
            # zero variances are expected at the boundary; convergence is asked for below
            warnings.simplefilter("ignore")
            try:
                model = smf.mixedlm(
                    formula,
                    table,
                    groups="fold",
                    re_formula="1",
                    vc_formula=random,
                )
                fit = model.fit(reml=True, method=optimiser)
                if fit.converged and np.isfinite(fit.bse_fe).all():
                    return fit, ""
            except (np.linalg.LinAlgError, ValueError) as error:
                reason = str(error)
    return None, f"The mixed model did not converge{': ' + reason if reason else ''}: no result."


def _wald(
    factor: str, beta: FloatArray, covariance: FloatArray, columns: list[int], folds: int
) -> FactorTest:
    numerator = len(columns)
    effect = beta[columns]
    inverse = np.linalg.pinv(covariance[np.ix_(columns, columns)])
    f = float(effect @ inverse @ effect) / numerator
    denominator = (folds - 1) * numerator
    return FactorTest(
        factor=factor,
        f=f,
        numerator=numerator,
        denominator=denominator,
        p=float(stats.f.sf(f, numerator, denominator)),
    )


def _contrasts(
    factor: str,
    levels: list[str],
    beta: FloatArray,
    covariance: FloatArray,
    columns: list[int],
    folds: int,
    confidence: float,
) -> list[Contrast]:
    """Level − reference: effects add up to zero, so the reference's effect is minus their sum."""
    freedom = (folds - 1) * len(columns)
    reach = float(stats.t.ppf(0.5 + confidence / 2, freedom))
    made = []
    for place, level in enumerate(levels[:-1]):
        weights = np.ones(len(columns))
        weights[place] += 1.0
        estimate = float(weights @ beta[columns])
        error = float(np.sqrt(weights @ covariance[np.ix_(columns, columns)] @ weights))
        made.append(
            Contrast(
                factor=factor,
                level=level,
                reference=levels[-1],
                estimate=estimate,
                standard_error=error,
                low=estimate - reach * error,
                high=estimate + reach * error,
                p=float(2 * stats.t.sf(abs(estimate) / error, freedom)),
            )
        )
    return made
